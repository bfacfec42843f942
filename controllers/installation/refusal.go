package installation

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// nodePortField is how the API server names the node port of a Service that it refuses.
var nodePortField = regexp.MustCompile(`^spec\.ports\[([0-9]+)\]\.nodePort$`)

// withInstallationField names the field of the Installation behind a node port that the API server refuses: one outside of the
// cluster's range, which only the API server knows, or one that another Service has.
func withInstallationField(object *unstructured.Unstructured, err error) error {
	var status apierrors.APIStatus
	if object.GetKind() != "Service" || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, cause := range status.Status().Details.Causes {
		match := nodePortField.FindStringSubmatch(cause.Field)
		if match == nil {
			continue
		}
		return fmt.Errorf("spec.gateways[%s].service.ports%s.nodePort: choose another, or remove it: %w", object.GetName(), portName(object, match[1]), err)
	}
	return err
}

// portName returns the name of a Service's port in brackets, empty if there is no such port.
func portName(object *unstructured.Unstructured, index string) string {
	ports, _, _ := unstructured.NestedSlice(object.Object, "spec", "ports")
	i, err := strconv.Atoi(index)
	if err != nil || i >= len(ports) {
		return ""
	}
	port, _ := ports[i].(map[string]any)
	return fmt.Sprintf("[%v]", port["name"])
}
