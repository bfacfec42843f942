package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// ownVariables are what the charts set in a container. A user's variable of such a name is left out, because server-side apply
// refuses a name that is given twice.
var ownVariables = []string{
	"POD_NAME", "POD_NAMESPACE", "POD_IP", "POD_UID", "INSTANCE_IP", "INSTANCE_IPS", "HOST_IP", "NODE_NAME", "SERVICE_ACCOUNT",
	"ISTIO_META_WORKLOAD_NAME", "ISTIO_META_OWNER", "CA_ADDRESS", "PILOT_ADDRESS", "TRUST_DOMAIN", "MESH_REVISION", "CLUSTER_ID",
	"PROXY_CONCURRENCY", "PROXY_LOG_LEVEL", drainVariable,
	"GF_SECURITY_ADMIN_USER", "GF_SECURITY_ADMIN_PASSWORD",
}

func userVariables(env []v1alpha1.EnvVar) []v1alpha1.EnvVar {
	return slices.DeleteFunc(slices.Clone(env), func(e v1alpha1.EnvVar) bool { return slices.Contains(ownVariables, e.Name) })
}

// overridden warns about labels and variables of the Installation that the component's own replace.
func overridden(spec *v1alpha1.InstallationSpec) []v1alpha1.Warning {
	var warnings []v1alpha1.Warning
	for field, c := range fixedComponents(spec) {
		warnings = append(warnings, noEffect(field+".podLabels", c.PodLabels, ownRoleLabel)...)
		warnings = append(warnings, overriddenVariables(field, c.Env, ownVariables)...)
	}
	for _, g := range spec.Gateways {
		field := "spec.gateways[" + g.Name + "]"
		chosen := gatewayLabels(g)
		own := func(key string) bool { _, taken := chosen[key]; return taken || reservedLabel(key) }
		warnings = append(warnings, noEffect(field+".labels", g.Labels, reservedLabel)...)
		warnings = append(warnings, noEffect(field+".podLabels", g.PodLabels, own)...)
		variables := slices.DeleteFunc(slices.Clone(ownVariables), func(v string) bool { return v == drainVariable })
		warnings = append(warnings, overriddenVariables(field, g.Env, variables)...)
		warnings = append(warnings, unusedServiceFields(field+".service", g)...)
	}
	return warnings
}

// ownRoleLabel reports labels that the chart library sets on pods of the control plane (mesh.podMetadata).
func ownRoleLabel(key string) bool {
	return key == "app" || key == "istio" || key == "istio.io/rev" || key == "app.kubernetes.io/managed-by" ||
		strings.HasPrefix(key, "istio.openshift.com/")
}

func noEffect(field string, labels map[string]string, own func(string) bool) []v1alpha1.Warning {
	var warnings []v1alpha1.Warning
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if own(key) {
			warnings = append(warnings, v1alpha1.Warning{Field: field, Reason: "NoEffect",
				Message: fmt.Sprintf("label %.100s is set by the component itself, whose value wins; remove it", key)})
		}
	}
	return warnings
}

func overriddenVariables(field string, env []v1alpha1.EnvVar, own []string) []v1alpha1.Warning {
	var warnings []v1alpha1.Warning
	for _, e := range env {
		if slices.Contains(own, e.Name) {
			warnings = append(warnings, v1alpha1.Warning{Field: field + ".env", Reason: "NoEffect",
				Message: "variable " + e.Name + " is set by the component itself, whose value wins; remove it"})
		}
	}
	return warnings
}

// unusedServiceFields is about what a Service of type ClusterIP cannot have.
func unusedServiceFields(field string, g v1alpha1.GatewaySpec) []v1alpha1.Warning {
	if g.Service == nil || serviceType(g) != "ClusterIP" {
		return nil
	}
	var warnings []v1alpha1.Warning
	warn := func(field, value string) {
		warnings = append(warnings, v1alpha1.Warning{Field: field, Reason: "NoEffect",
			Message: value + " has no effect on a Service of type ClusterIP; remove it, or set service.type to NodePort or LoadBalancer"})
	}
	if policy := g.Service.ExternalTrafficPolicy; policy != "" {
		warn(field+".externalTrafficPolicy", policy)
	}
	for _, p := range g.Service.Ports {
		if p.NodePort != 0 {
			warn(field+".ports", fmt.Sprintf("nodePort %d of %s", p.NodePort, p.Name))
		}
	}
	return warnings
}
