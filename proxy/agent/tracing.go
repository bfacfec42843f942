package agent

import (
	"net/url"

	"github.com/mesh-operator/mesh-operator/internal/canonical"
)

// clusterID is the name that Istio gives to the only cluster of a mesh.
const clusterID = "Kubernetes"

// serviceName is the service that the proxy's spans belong to: the application and its namespace.
func serviceName(c Config) string {
	return canonical.Name(c.Labels, c.Workload) + "." + c.Namespace
}

// tracingEnvironment are variables of Envoy that the configuration of tracing refers to (xds/envoy/tracing.go): the
// listeners are the same for many proxies, the values are not.
func tracingEnvironment(c Config) []string {
	return []string{
		"ISTIO_CANONICAL_SERVICE=" + canonical.Name(c.Labels, c.Workload),
		"ISTIO_CANONICAL_REVISION=" + canonical.Revision(c.Labels),
		"ISTIO_CLUSTER_ID=" + clusterID,
		"POD_NAMESPACE=" + c.Namespace,
		// https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
		"OTEL_RESOURCE_ATTRIBUTES=service.name=" + url.PathEscape(serviceName(c)) + ",k8s.pod.name=" + url.PathEscape(c.PodName) +
			",k8s.namespace.name=" + url.PathEscape(c.Namespace),
	}
}
