// Package bundle holds the OLM bundle against the validators of its ecosystem. It is a module of its own, because they depend on
// much that nothing else here needs.
package bundle

import (
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
)

// acceptedWarnings are what the validators say about the bundle and why it stays.
var acceptedWarnings = map[string]string{
	"CSV contains permissions to create CRD":                         "the operator creates the definitions of Istio's kinds where they are absent, and never takes over those of another mesh; OLM would replace them",
	"RBAC includes permission to create/update poddisruptionbudgets": "an Installation asks for them (podDisruptionBudget of a component), in istio-system alone",
}

// TestBundleIsValid runs the validators of OperatorHub and the good practices, and those of operator-sdk bundle validate.
func TestBundleIsValid(t *testing.T) {
	bundle, err := manifests.GetBundleFromDir("../../bundle")
	if err != nil {
		t.Fatal(err)
	}
	objects := append(bundle.ObjectsToValidate(), bundle, map[string]string{"k8s-version": "1.37"})
	seen := map[string]bool{}
	for _, validator := range (interfaces.Validators{
		validation.ClusterServiceVersionValidator, validation.CustomResourceDefinitionValidator, validation.BundleValidator,
		validation.OperatorHubV2Validator, validation.StandardCapabilitiesValidator, validation.StandardCategoriesValidator,
		validation.ObjectValidator, validation.AlphaDeprecatedAPIsValidator, validation.GoodPracticesValidator,
	}) {
		for _, result := range validator.Validate(objects...) {
			for _, err := range result.Errors {
				t.Error(err)
			}
			for _, warning := range result.Warnings {
				known := ""
				for text := range acceptedWarnings {
					if strings.Contains(warning.Error(), text) {
						known = text
					}
				}
				if known == "" {
					t.Errorf("warning without a reason: %s", warning)
				}
				seen[known] = true
			}
		}
	}
	for text := range acceptedWarnings {
		if !seen[text] {
			t.Errorf("no validator warns %q any more; remove it", text)
		}
	}
}
