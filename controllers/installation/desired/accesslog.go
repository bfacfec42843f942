package desired

import (
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
