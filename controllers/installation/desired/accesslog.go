package desired

import (
	"fmt"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// accessLogEncoding is the format of access logs as the mesh configuration spells it.
func accessLogEncoding(spec *v1alpha1.InstallationSpec) string {
	if t := spec.Telemetry; t != nil && t.AccessLog != nil && t.AccessLog.Format != "" {
		return strings.ToUpper(t.AccessLog.Format)
	}
	return "TEXT"
}

// accessLogURL is the address of the collector of access logs; empty if there is none.
func accessLogURL(spec *v1alpha1.InstallationSpec) string {
	if t := spec.Telemetry; t != nil && t.AccessLog != nil {
		return t.AccessLog.OTLPURL
	}
	return ""
}

// telemetryProvider is the name by which pilot knows the mesh's own istio-telemetry, and sends entries over mutual TLS.
const telemetryProvider = "istio-telemetry"

// accessLogCollectors are the chart's values of where proxies send access logs besides standard output.
func accessLogCollectors(spec *v1alpha1.InstallationSpec) []any {
	var list []any
	if address, err := collectorAddress(accessLogURL(spec)); err == nil { // an error is reported by invalidAccessLog
		list = append(list, map[string]any{"name": "otel", "host": address.Hostname(), "port": address.Port()})
	}
	if section := telemetrySection(spec); section == nil || section.Enabled == nil || *section.Enabled {
		host := fmt.Sprintf("istio-telemetry.%s.svc.cluster.local", owner.MeshNamespace)
		list = append(list, map[string]any{"name": telemetryProvider, "host": host, "port": "15004"})
	}
	return list
}

// telemetrySection is spec.components.telemetry, which tunes istio-telemetry.
var telemetrySection = section(func(c *v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec { return c.Telemetry })

// invalidAccessLog checks what the API server refuses too, for an Installation that is older than its rules.
func invalidAccessLog(spec *v1alpha1.InstallationSpec) []string {
	text := accessLogURL(spec)
	if _, err := collectorAddress(text); text == "" || err == nil {
		return nil
	}
	return []string{fmt.Sprintf("spec.telemetry.accessLog.otlpURL: %q is no address of a collector; write http://host:port without a path", text)}
}
