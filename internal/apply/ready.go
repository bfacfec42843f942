package apply

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Ready reports whether the object has become what it describes, and if not, why not in the words of kstatus.
func Ready(object *unstructured.Unstructured) (bool, string, error) {
	result, err := status.Compute(object)
	if err != nil {
		return false, "", fmt.Errorf("compute status of %s: %w", RefOf(object), err)
	}
	return result.Status == status.CurrentStatus, result.Message, nil
}
