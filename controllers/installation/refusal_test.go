package installation

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestRefusedNodePortNamesInstallationField: a node port that only the API server can refuse is reported with the field that
// the user wrote; other refusals stay as they are.
func TestRefusedNodePortNamesInstallationField(t *testing.T) {
	service := &unstructured.Unstructured{Object: map[string]any{"kind": "Service", "spec": map[string]any{
		"ports": []any{map[string]any{"name": "http"}, map[string]any{"name": "tcp-db", "nodePort": int64(80)}}}}}
	service.SetName("partner")
	refused := func(path *field.Path) error {
		return fmt.Errorf("apply Service istio-system/partner: %w", apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "partner",
			field.ErrorList{field.Invalid(path, 80, "provided port is not in the valid range. The range of valid ports is 30000-32767")}))
	}
	nodePort := refused(field.NewPath("spec", "ports").Index(1).Child("nodePort"))
	got := withInstallationField(service, nodePort)
	want := "spec.gateways[partner].service.ports[tcp-db].nodePort: choose another, or remove it: " + nodePort.Error()
	if got.Error() != want || !apierrors.IsInvalid(got) {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	for _, other := range []error{errors.New("no connection"), refused(field.NewPath("spec", "type"))} {
		if got := withInstallationField(service, other); got.Error() != other.Error() {
			t.Errorf("%v became %v", other, got)
		}
	}
}
