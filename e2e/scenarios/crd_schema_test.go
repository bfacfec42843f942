package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

const (
	schemaSpace   = "schema"
	deletingSpace = "schema-deleting"
)

// versionsOf are the served versions of each group of Istio's API.
var versionsOf = map[string][]string{
	"networking.istio.io": {"v1", "v1beta1", "v1alpha3"},
	"security.istio.io":   {"v1", "v1beta1"},
	"telemetry.istio.io":  {"v1", "v1alpha1"},
}

// TestSchemaKeepsArticles creates every rule of the articles, old spellings included, in every served version, as a dry run:
// nothing is pruned, and it decodes to the same configuration.
func TestSchemaKeepsArticles(t *testing.T) {
	readyMesh(t)
	namespace(t, schemaSpace, nil)
	for name, text := range articles(t) {
		objects, err := lab.Objects(text)
		must(t, err)
		for _, u := range objects {
			kind := istioconfig.Kind(u.GetKind())
			if o, err := istioconfig.Decode(u.DeepCopy()); err != nil || len(istioconfig.Validate(o)) > 0 {
				continue // no kind of Istio's, or an invalid example
			}
			for _, version := range versionsOf[u.GroupVersionKind().Group] {
				resource := mesh.Dynamic.Resource(kind.Resource().GroupResource().WithVersion(version)).Namespace(schemaSpace)
				t.Run(fmt.Sprintf("%s/%s-%s/%s", name, u.GetKind(), u.GetName(), version), func(t *testing.T) {
					keepsSpec(t, resource, u, version)
				})
			}
		}
	}
}

// keepsSpec creates an object as a dry run and compares it with what would be stored.
func keepsSpec(t *testing.T, resource dynamic.ResourceInterface, u *unstructured.Unstructured, version string) {
	ctx := within(t, 30*time.Second)
	written := u.DeepCopy()
	written.SetAPIVersion(u.GroupVersionKind().Group + "/" + version)
	written.SetNamespace(schemaSpace)
	stored, err := resource.Create(ctx, written, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
	same(t, written, stored)
}

// same compares what was written and read, as JSON and as the control plane decodes it.
func same(t *testing.T, written, read *unstructured.Unstructured) {
	t.Helper()
	if diff := cmp.Diff(plainJSON(t, written.Object["spec"]), plainJSON(t, read.Object["spec"])); diff != "" {
		t.Errorf("spec (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(meaning(t, written), meaning(t, read)); diff != "" {
		t.Errorf("meaning (-written +read):\n%s", diff)
	}
}

func plainJSON(t *testing.T, value any) (out any) {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	must(t, json.Unmarshal(text, &out))
	return out
}

func meaning(t *testing.T, u *unstructured.Unstructured) any {
	t.Helper()
	o, err := istioconfig.Decode(u.DeepCopy())
	must(t, err)
	text, err := protojson.Marshal(o.Spec)
	must(t, err)
	return plainJSON(t, json.RawMessage(text))
}

// articles returns the repository's Istio configuration by where it is from.
func articles(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	archives, _ := filepath.Glob("../../internal/istio*/testdata/*.txtar")
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		must(t, err)
		for _, file := range archive.Files {
			if !strings.HasPrefix(file.Name, "want") {
				out[strings.TrimSuffix(filepath.Base(path), ".txtar")+"-"+file.Name] = string(file.Data)
			}
		}
	}
	samples, _ := filepath.Glob("../../samples/*/*.yaml")
	for _, path := range samples {
		text, err := os.ReadFile(path)
		must(t, err)
		out[filepath.Base(path)] = string(text)
	}
	if len(archives) == 0 || len(samples) == 0 {
		t.Fatal("found no configuration")
	}
	return out
}

// TestSchemaKeepsEveryField writes objects in which every field of Istio's API is set, with each member of every oneof in turn,
// in every version, as dry runs: nothing is pruned. Galley does not validate objects that are being deleted.
func TestSchemaKeepsEveryField(t *testing.T) {
	readyMesh(t)
	namespace(t, deletingSpace, nil)
	for _, kind := range istioconfig.EnforcedKinds() {
		t.Run(string(kind), func(t *testing.T) {
			group := kind.Resource().Group
			for _, version := range versionsOf[group] {
				resource := mesh.Dynamic.Resource(kind.Resource().GroupResource().WithVersion(version)).Namespace(deletingSpace)
				object := objectBeingDeleted(t, resource, kind, group+"/"+version)
				for variant := range 8 {
					keepsEveryField(t, resource, object, kind, variant)
				}
			}
		})
	}
}

func keepsEveryField(t *testing.T, resource dynamic.ResourceInterface, object *unstructured.Unstructured, kind istioconfig.Kind, variant int) {
	t.Helper()
	spec := kind.NewSpec()
	fill(spec.ProtoReflect(), variant)
	text, err := protojson.Marshal(spec)
	must(t, err)
	current, err := resource.Get(within(t, 30*time.Second), object.GetName(), metav1.GetOptions{})
	must(t, err)
	current.Object["spec"] = numbers(plainJSON(t, json.RawMessage(text)), "")
	stored, err := resource.Update(within(t, 30*time.Second), current,
		metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Errorf("variant %d of %s: %v", variant, object.GetAPIVersion(), err)
		return
	}
	same(t, current, stored)
}

// objectBeingDeleted creates an object and deletes it; a finalizer keeps it until the end of t.
func objectBeingDeleted(t *testing.T, resource dynamic.ResourceInterface, kind istioconfig.Kind, apiVersion string) *unstructured.Unstructured {
	t.Helper()
	least := map[istioconfig.Kind]string{
		istioconfig.VirtualService:     `{"hosts":["a"],"http":[{"route":[{"destination":{"host":"a"}}]}]}`,
		istioconfig.DestinationRule:    `{"host":"a"}`,
		istioconfig.Gateway:            `{"selector":{"a":"a"},"servers":[{"port":{"number":80,"name":"http","protocol":"HTTP"},"hosts":["a"]}]}`,
		istioconfig.PeerAuthentication: `{}`,
		istioconfig.Telemetry:          `{"accessLogging":[{"disabled":true}]}`,
		istioconfig.ServiceEntry:       `{"hosts":["a.example.com"],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`,
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": plainJSON(t, json.RawMessage(least[kind]))}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(string(kind))
	u.SetName("deleting-" + strings.ReplaceAll(apiVersion[strings.Index(apiVersion, "/")+1:], "/", "-"))
	u.SetFinalizers([]string{"scenario.example.com/stay"})
	created, err := resource.Create(within(t, 30*time.Second), u, metav1.CreateOptions{})
	must(t, err)
	must(t, resource.Delete(within(t, 30*time.Second), u.GetName(), metav1.DeleteOptions{}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*30*time.Second)
		defer cancel()
		if _, err := resource.Patch(ctx, u.GetName(), "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	})
	return created
}

// numbers turns the 64-bit numbers that protojson writes as text into what people write.
func numbers(value any, field string) any {
	switch v := value.(type) {
	case map[string]any:
		for name, child := range v {
			v[name] = numbers(child, name)
		}
	case []any:
		for i, child := range v {
			v[i] = numbers(child, field)
		}
	case float64:
		return int64(v)
	case string:
		if slices.Contains([]string{"minimumRingSize", "tableSize"}, field) {
			return int64(len(v))
		}
	}
	return value
}
