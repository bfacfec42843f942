package desired

import (
	"fmt"
	"regexp"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// grafanaSecret holds the administrator's credentials, if spec names no other Secret.
const grafanaSecret = "grafana"

func grafanaSection(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if spec.Grafana == nil {
		return nil
	}
	return &spec.Grafana.ComponentSpec
}

// grafanaEnabled: dashboards without metrics show nothing, so Grafana comes and goes with Prometheus unless spec says otherwise.
func grafanaEnabled(spec *v1alpha1.InstallationSpec) bool {
	if externalGrafana(spec) != "" {
		return false
	}
	if spec.Grafana != nil && spec.Grafana.Enabled != nil {
		return *spec.Grafana.Enabled
	}
	return prometheusEnabled(spec)
}

func prometheusEnabled(spec *v1alpha1.InstallationSpec) bool {
	return spec.Prometheus == nil || !isFalse(spec.Prometheus.Enabled)
}

// externalGrafana is the address of a Grafana that somebody else runs; empty: none.
func externalGrafana(spec *v1alpha1.InstallationSpec) string {
	if spec.Grafana == nil || spec.Grafana.External == nil {
		return ""
	}
	return spec.Grafana.External.URL
}

// dashboardsEnabled: they are installed for the mesh's Grafana and for that of somebody else.
func dashboardsEnabled(spec *v1alpha1.InstallationSpec) bool {
	return grafanaEnabled(spec) || externalGrafana(spec) != ""
}

func grafanaValues(in Input) (map[string]any, error) {
	g := in.Spec.Grafana
	if g == nil {
		g = &v1alpha1.GrafanaSpec{}
	}
	values := map[string]any{
		"prometheusURL": "http://prometheus." + owner.MeshNamespace + ".svc:9090", "anonymous": isTrue(g.Anonymous),
		"credentials": grafanaSecret, "generateCredentials": g.CredentialsSecretRef == nil,
	}
	if g.CredentialsSecretRef != nil {
		values["credentials"] = g.CredentialsSecretRef.Name
	}
	return values, nil
}

// pageURL is the address of a page; the schema has the same expression.
var pageURL = regexp.MustCompile(`^https?://[-A-Za-z0-9.:]+(/[-A-Za-z0-9._~/]*)?$`)

// invalidGrafana repeats the rules of the schema, for an Installation that is older than they are.
func invalidGrafana(spec *v1alpha1.InstallationSpec) []string {
	g := spec.Grafana
	if g == nil {
		return nil
	}
	var problems []string
	if g.Replicas != nil && *g.Replicas > 1 {
		problems = append(problems, fmt.Sprintf("spec.grafana.replicas: %d, but every Grafana keeps sessions and changes of its own, so there can be one at most; write 0 or 1, or remove the field", *g.Replicas))
	}
	if g.Autoscaling != nil {
		problems = append(problems, "spec.grafana.autoscaling: every Grafana keeps sessions and changes of its own, so there can be one at most; remove the field")
	}
	if isTrue(g.Enabled) && !prometheusEnabled(spec) {
		problems = append(problems, "spec.grafana.enabled: the dashboards show what the mesh's Prometheus collects, and there is none; write spec.prometheus.enabled: true too, or remove the field")
	}
	if g.External == nil {
		if g.CredentialsSecretRef != nil && g.CredentialsSecretRef.Name == "" {
			problems = append(problems, "spec.grafana.credentialsSecretRef.name: it is empty; write the name of a Secret in istio-system")
		}
		return problems
	}
	if g.CredentialsSecretRef != nil || g.Anonymous != nil || isTrue(g.Enabled) {
		problems = append(problems, "spec.grafana.external: names a Grafana that somebody else runs; remove external, or enabled, credentialsSecretRef and anonymous, which are about the mesh's own")
	}
	if !pageURL.MatchString(g.External.URL) {
		problems = append(problems, fmt.Sprintf("spec.grafana.external.url: %q is no address of a page; write https://host, with a port and a path if it has them", g.External.URL))
	}
	return problems
}
