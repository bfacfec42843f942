package write

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// generate creates a Secret that is missing, with random values of the keys that its annotation lists. What is applied afterwards
// does not contain these keys, so they are kept for as long as the Secret exists.
func (w *Writer) generate(ctx context.Context, object *unstructured.Unstructured) error {
	keys := object.GetAnnotations()[owner.AnnotationGenerate]
	ref := apply.RefOf(object)
	if keys == "" || w.lookup(ref) != nil {
		return nil
	}
	created := object.DeepCopy()
	for key := range strings.SplitSeq(keys, ",") {
		value := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
		if err := unstructured.SetNestedField(created.Object, value, "data", key); err != nil {
			return fmt.Errorf("generate key %s of %s: %w", key, ref, err)
		}
	}
	err := w.client.Create(ctx, created, client.FieldOwner(apply.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return nil // it has lost its labels, which the apply adds
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", ref, err)
	}
	w.applier.Drop(ref)
	return nil
}
