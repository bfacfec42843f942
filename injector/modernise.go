package injector

import "fmt"

// successors are the API versions of workloads that clusters served once, and what took their place.
var successors = map[string]map[string]string{
	"Deployment":  {"extensions/v1beta1": "apps/v1", "apps/v1beta1": "apps/v1", "apps/v1beta2": "apps/v1"},
	"DaemonSet":   {"extensions/v1beta1": "apps/v1", "apps/v1beta2": "apps/v1"},
	"ReplicaSet":  {"extensions/v1beta1": "apps/v1", "apps/v1beta2": "apps/v1"},
	"StatefulSet": {"apps/v1beta1": "apps/v1", "apps/v1beta2": "apps/v1"},
	"CronJob":     {"batch/v1beta1": "batch/v1", "batch/v2alpha1": "batch/v1"},
}

// modernise gives a workload an API version that is served, and what that version asks for: apps/v1 wants the selector that
// the old versions took from the template's labels.
func (m *manifest) modernise(object map[string]any) (bool, error) {
	was, _ := object["apiVersion"].(string)
	now, old := successors[kindOf(object)][was]
	if !old {
		if kindOf(object) == "Ingress" && was == "extensions/v1beta1" {
			m.note(object, "%s is not served since Kubernetes 1.22 and is left as it is: write it as networking.k8s.io/v1", was)
		}
		return false, nil
	}
	object["apiVersion"] = now
	m.note(object, "%s is not served any more: written as %s", was, now)
	if now != "apps/v1" {
		return true, nil
	}
	spec := descend(object, []string{"spec"})
	delete(spec, "rollbackTo")
	delete(spec, "templateGeneration")
	if spec == nil || descend(spec, []string{"selector"}) != nil {
		return true, nil
	}
	labels := descend(spec, []string{"template", "metadata", "labels"})
	if len(labels) == 0 {
		return true, fmt.Errorf("%s needs a selector, and the template has no labels to make one from: add labels to spec.template.metadata", now)
	}
	copied := map[string]any{}
	for key, value := range labels {
		copied[key] = value
	}
	spec["selector"] = map[string]any{"matchLabels": copied}
	return true, nil
}
