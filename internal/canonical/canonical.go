// Package canonical names the service and the version that a pod's telemetry counts for, from the pod's labels. It has no
// dependencies, because the agent of every pod needs it.
package canonical

import "strings"

// Labels that set what telemetry shows (istio.io/api/label).
const (
	nameLabel     = "service.istio.io/canonical-name"
	revisionLabel = "service.istio.io/canonical-revision"
)

// maxLabelValue is the length limit of a label's value; names of objects may be longer.
const maxLabelValue = 63

// Name returns the value of the label service.istio.io/canonical-name, or what stands in for it: the label of the
// application, else the workload's name. It always fits into a label.
func Name(labels map[string]string, workload string) string {
	if name := first(labels, nameLabel, "app.kubernetes.io/name", "app"); name != "" {
		return name
	}
	if len(workload) > maxLabelValue {
		return strings.TrimRight(workload[:maxLabelValue], "-.")
	}
	return workload
}

// Revision returns the value of the label service.istio.io/canonical-revision, or what stands in for it.
func Revision(labels map[string]string) string {
	if revision := first(labels, revisionLabel, "app.kubernetes.io/version", "version"); revision != "" {
		return revision
	}
	return "latest"
}

func first(labels map[string]string, keys ...string) string {
	for _, key := range keys {
		if labels[key] != "" {
			return labels[key]
		}
	}
	return ""
}
