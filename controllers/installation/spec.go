package installation

import (
	"fmt"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// unsupported is something that an Installation asks for and this version cannot do.
type unsupported struct {
	component   string
	field       string
	message     string
	blocksReady bool // its absence leaves something open, so the mesh must not call itself Ready
}

// unsupportedParts lists what spec asks for in vain, sorted by component.
func unsupportedParts(spec *v1alpha1.InstallationSpec) []unsupported {
	var parts []unsupported
	if spec.Jaeger != nil {
		parts = append(parts, unsupported{component: "jaeger", field: "spec.jaeger",
			message: "this version does not install Jaeger; requests are not traced"})
	}
	if kialiEnabled(spec.Kiali) {
		parts = append(parts, unsupported{component: "kiali", field: "spec.kiali",
			message: "this version does not install Kiali"})
	}
	if spec.Launcher != nil {
		parts = append(parts, unsupported{component: "launcher", field: "spec.launcher",
			message: "this version does not install the Fabric8 launcher"})
	}
	if spec.ThreeScale != nil && isTrue(spec.ThreeScale.Enabled) {
		parts = append(parts, unsupported{component: "threeScale", field: "spec.threeScale.enabled", blocksReady: true,
			message: "this version does not install the 3scale adapter, so no request is checked with 3scale; set it to false to go on without"})
	}
	return parts
}

// kialiEnabled keeps the historic rule: the console is asked for by its credentials.
func kialiEnabled(kiali *v1alpha1.KialiSpec) bool {
	return kiali != nil && kiali.Username != "" && kiali.Password != ""
}

// specWarnings lists fields that work, but not as one may think. The admission policies print the same when the Installation
// is written; here they stay visible.
func specWarnings(spec *v1alpha1.InstallationSpec) []v1alpha1.Warning {
	var warnings []v1alpha1.Warning
	for _, field := range plaintextSecrets(spec) {
		warnings = append(warnings, v1alpha1.Warning{Field: field, Reason: "PlaintextSecret",
			Message: "is in the clear, and whoever can read Installations can read it; remove it, because nothing that this version installs reads it"})
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
	return warnings
}

// plaintextSecrets lists what is in the clear. It is not moved into a Secret before there is a component that reads one: the
// spec is not edited, so nothing is lost, and a copy would be one more place that can leak.
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

// invalidSpec repeats what the admission policies refuse, for an Installation that was written before they existed.
func invalidSpec(spec *v1alpha1.InstallationSpec) string {
	var problems []string
	if _, problem := mtlsMode(spec); problem != "" {
		problems = append(problems, problem)
	}
	for _, gateway := range spec.Gateways {
		if reservedNames[gateway.Name] {
			problems = append(problems, "spec.gateways: name "+gateway.Name+" is the name of a component; choose another")
		}
		if port, found := reservedPort(gateway); found {
			problems = append(problems, fmt.Sprintf("spec.gateways: targetPort %d of gateway %s is among 15000 to 15099, which belong to the proxy itself; choose another", port, gateway.Name))
		}
	}
	return strings.Join(problems, "; ")
}

// reservedPort finds a port that the proxy needs for itself; 15021 is the gateways' own to publish.
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

var reservedNames = map[string]bool{
	"istio": true, "istio-citadel": true, "istio-pilot": true, "istio-galley": true, "istio-sidecar-injector": true,
	"base": true, "citadel": true, "pilot": true, "galley": true, "sidecar-injector": true,
	"jaeger": true, "kiali": true, "launcher": true, // in status beside the gateways, while this version does not install them
}

func isTrue(b *bool) bool { return b != nil && *b }
