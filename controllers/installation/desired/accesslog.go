package desired

import (
	"fmt"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
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

// accessLogCollector are the chart's values of the collector of access logs; nil: there is none.
func accessLogCollector(spec *v1alpha1.InstallationSpec) any {
	address, err := collectorAddress(accessLogURL(spec))
	if err != nil { // reported by invalidAccessLog
		return nil
	}
	return map[string]any{"host": address.Hostname(), "port": address.Port()}
}

// invalidAccessLog checks what the API server refuses too, for an Installation that is older than its rules.
func invalidAccessLog(spec *v1alpha1.InstallationSpec) []string {
	text := accessLogURL(spec)
	if _, err := collectorAddress(text); text == "" || err == nil {
		return nil
	}
	return []string{fmt.Sprintf("spec.telemetry.accessLog.otlpURL: %q is no address of a collector; write http://host:port without a path", text)}
}
