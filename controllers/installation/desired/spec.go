package desired

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// Unsupported is a part of spec that this version does not implement.
type Unsupported struct {
	Component   string // its line in status.components
	Field       string
	Message     string
	BlocksReady bool // it would protect something, so the mesh is not Ready without it
}

// unsupportedComponents are the possible values of Unsupported.Component that could be the name of a gateway.
var unsupportedComponents = []string{"kiali", "launcher"}

// UnsupportedParts lists the parts of spec that are not implemented, sorted by component.
func UnsupportedParts(spec *v1alpha1.InstallationSpec) []Unsupported {
	var parts []Unsupported
	if kialiEnabled(spec.Kiali) {
		parts = append(parts, Unsupported{Component: "kiali", Field: "spec.kiali",
			Message: "this version does not install Kiali"})
	}
	if spec.Launcher != nil {
		parts = append(parts, Unsupported{Component: "launcher", Field: "spec.launcher",
			Message: "this version does not install the Fabric8 launcher"})
	}
	if spec.ThreeScale != nil && isTrue(spec.ThreeScale.Enabled) {
		parts = append(parts, Unsupported{Component: "threeScale", Field: "spec.threeScale.enabled", BlocksReady: true,
			Message: "this version does not install the 3scale adapter, so no request is checked with 3scale; set it to false to go on without"})
	}
	return parts
}

// kialiEnabled is the historic rule: Kiali is enabled by its credentials.
func kialiEnabled(kiali *v1alpha1.KialiSpec) bool {
	return kiali != nil && kiali.Username != "" && kiali.Password != ""
}

// Warnings lists fields that are accepted and have another effect than their value suggests. The admission policies print the
// same when the Installation is written; status.warnings keeps them visible.
func Warnings(spec *v1alpha1.InstallationSpec) []v1alpha1.Warning {
	var warnings []v1alpha1.Warning
	for _, field := range plaintextSecrets(spec) {
		warnings = append(warnings, v1alpha1.Warning{Field: field, Reason: "PlaintextSecret",
			Message: "is in the clear, and whoever can read Installations can read it; remove it, because nothing that this version installs reads it"})
	}
	if k := spec.Kiali; k != nil && (k.Username == "") != (k.Password == "") {
		warnings = append(warnings, v1alpha1.Warning{Field: "spec.kiali", Reason: "Incomplete",
			Message: "Kiali is asked for by username and password together, and one of them is missing; remove spec.kiali, because this version does not install Kiali"})
	}
	for _, version := range unquotedVersions(spec) {
		warnings = append(warnings, v1alpha1.Warning{Field: version.field, Reason: "UnquotedNumber",
			Message: version.text + " is a number; quote it, because YAML turns 1.10 into 1.1"})
	}
	for _, gateway := range spec.Gateways {
		if _, wrong := gatewayDrain(gateway); wrong != "" {
			warnings = append(warnings, v1alpha1.Warning{Field: "spec.gateways", Reason: "NoDuration",
				Message: fmt.Sprintf("%s of gateway %s is %.50s, which is no duration between 0s and 1h; write one, such as 30s, or remove it for 5s",
					drainVariable, gateway.Name, wrong)})
		}
	}
	return append(warnings, overridden(spec)...)
}

// plaintextSecrets lists the fields with a secret in plain text. It is not copied into a Secret before there is a component
// that reads one: spec is not edited, so nothing is lost, and a copy is one more object that can leak.
func plaintextSecrets(spec *v1alpha1.InstallationSpec) []string {
	var fields []string
	if spec.Kiali != nil && spec.Kiali.Password != "" {
		fields = append(fields, "spec.kiali.password")
	}
	if l := spec.Launcher; l != nil {
		if l.OpenShift != nil && l.OpenShift.Password != "" {
			fields = append(fields, "spec.launcher.openshift.password")
		}
		if l.GitHub != nil && l.GitHub.Token != "" {
			fields = append(fields, "spec.launcher.github.token")
		}
	}
	return fields
}

type unquoted struct{ field, text string }

func unquotedVersions(spec *v1alpha1.InstallationSpec) []unquoted {
	var out []unquoted
	add := func(field string, s *v1alpha1.Scalar) {
		if s != nil && s.Unquoted {
			out = append(out, unquoted{field, s.Text})
		}
	}
	if spec.Istio != nil {
		add("spec.istio.version", spec.Istio.Version)
	}
	if spec.Jaeger != nil {
		add("spec.jaeger.version", spec.Jaeger.Version)
	}
	if spec.Kiali != nil {
		add("spec.kiali.version", spec.Kiali.Version)
	}
	if spec.ThreeScale != nil {
		add("spec.threeScale.version", spec.ThreeScale.Version)
	}
	return out
}

// mtlsMode merges the historic and the new spelling; invalid says that they contradict each other.
func mtlsMode(spec *v1alpha1.InstallationSpec) (mode string, invalid string) {
	mode = "PERMISSIVE"
	historic := ""
	if spec.Istio != nil && spec.Istio.Authentication != nil {
		historic = "PERMISSIVE"
		if *spec.Istio.Authentication {
			historic = "STRICT"
		}
		mode = historic
	}
	if spec.Security == nil || spec.Security.MTLS == nil || spec.Security.MTLS.Mode == "" {
		return mode, ""
	}
	mode = spec.Security.MTLS.Mode
	if historic != "" && (historic == "STRICT") != (mode == "STRICT") {
		return mode, "spec.istio.authentication means " + historic + " and spec.security.mtls.mode is " + mode +
			"; remove one of the two"
	}
	return mode, ""
}

// Invalid returns what the admission policies refuse, for an Installation that was written before the policies existed, and
// what a policy cannot check.
func Invalid(spec *v1alpha1.InstallationSpec, catalog Catalog) string {
	var problems []string
	if _, problem := mtlsMode(spec); problem != "" {
		problems = append(problems, problem)
	}
	for _, f := range v1alpha1.ForeignFieldTable {
		if f.Of(&spec.ForeignFields) != nil {
			problems = append(problems, "spec."+f.Name+" is a field of ServiceMeshControlPlane or IstioOperator; "+f.WayOut)
		}
	}
	reserved := catalog.ReservedNames()
	for _, gateway := range spec.Gateways {
		if slices.Contains(reserved, gateway.Name) {
			problems = append(problems, "spec.gateways: name "+gateway.Name+" is the name of a component; choose another")
		}
		if port, found := reservedPort(gateway); found {
			problems = append(problems, fmt.Sprintf("spec.gateways: targetPort %d of gateway %s is among 15000 to 15099, which belong to the proxy itself; choose another", port, gateway.Name))
		}
	}
	problems = append(problems, invalidComponents(spec)...)
	return strings.Join(problems, "; ")
}

// reservedPort finds a target port that the proxy itself uses; 15021 is the health port that a gateway publishes.
func reservedPort(gateway v1alpha1.GatewaySpec) (int32, bool) {
	if gateway.Service == nil {
		return 0, false
	}
	for _, p := range gateway.Service.Ports {
		target := p.TargetPort
		if target == 0 {
			target = unprivilegedPort(p.Port)
		}
		if target >= 15000 && target < 15100 && target != 15021 {
			return target, true
		}
	}
	return 0, false
}

// gatewayName is the pattern of a gateway's name, which is also in the schema of Installation.
var gatewayName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func isTrue(b *bool) bool { return b != nil && *b }
