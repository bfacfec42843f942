package describe

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestDescribe describes what the section ask of a case names, a line each: pod or service, and namespace/name.
func TestDescribe(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		s := mesh.Build(nil, inputsOf(t, c.Files["objects.yaml"]))
		var out strings.Builder
		for line := range strings.Lines(string(c.Files["ask"])) {
			kind, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			namespace, name, _ := strings.Cut(name, "/")
			var text string
			var ok bool
			if kind == "pod" {
				text, ok = Pod(s, namespace, name, "in step with pilot")
			} else {
				text, ok = Service(s, namespace, name)
			}
			if !ok {
				text = "none\n"
			}
			out.WriteString(text + "\n")
		}
		return map[string]string{"want.txt": out.String()}
	})
}

func inputsOf(t *testing.T, text []byte) mesh.Inputs {
	t.Helper()
	in := mesh.Inputs{MeshNamespace: "istio-system", MTLS: mesh.Permissive}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return in
		}
		if err != nil {
			t.Fatal(err)
		}
		addObject(t, &in, u)
	}
}

func addObject(t *testing.T, in *mesh.Inputs, u *unstructured.Unstructured) {
	t.Helper()
	convert := func(into any) {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
			t.Fatal(err)
		}
	}
	switch u.GetKind() {
	case "Service":
		o := &corev1.Service{}
		convert(o)
		mesh.Add(&in.Services, o)
	case "Pod":
		o := &corev1.Pod{}
		convert(o)
		mesh.Add(&in.Pods, o)
	case "EndpointSlice":
		o := &discoveryv1.EndpointSlice{}
		convert(o)
		mesh.Add(&in.EndpointSlices, o)
	default:
		o, err := istioconfig.Decode(u)
		if err != nil {
			t.Fatal(err)
		}
		mesh.AddConfig(&in.Config, o)
	}
}
