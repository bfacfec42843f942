package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/controllers/installation/packaging"
)

// constraintsDefinition has the fields of OpenShift's SecurityContextConstraints (security.openshift.io/v1), at the top level.
const constraintsDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: securitycontextconstraints.security.openshift.io
  annotations: {api-approved.kubernetes.io: "none, a test"}
spec:
  group: security.openshift.io
  names: {kind: SecurityContextConstraints, listKind: SecurityContextConstraintsList, plural: securitycontextconstraints, singular: securitycontextconstraints}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [allowHostDirVolumePlugin, allowHostIPC, allowHostNetwork, allowHostPID, allowHostPorts, allowPrivilegedContainer, readOnlyRootFilesystem]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          allowHostDirVolumePlugin: {type: boolean}
          allowHostIPC: {type: boolean}
          allowHostNetwork: {type: boolean}
          allowHostPID: {type: boolean}
          allowHostPorts: {type: boolean}
          allowPrivilegeEscalation: {type: boolean}
          allowPrivilegedContainer: {type: boolean}
          allowedCapabilities: {type: array, items: {type: string}}
          readOnlyRootFilesystem: {type: boolean}
          fsGroup: {type: object, properties: {type: {type: string, enum: [MustRunAs, RunAsAny]}}}
          supplementalGroups: {type: object, properties: {type: {type: string, enum: [MustRunAs, RunAsAny]}}}
          runAsUser: {type: object, properties: {type: {type: string, enum: [MustRunAs, MustRunAsNonRoot, MustRunAsRange, RunAsAny]}}}
          seLinuxContext: {type: object, properties: {type: {type: string, enum: [MustRunAs, RunAsAny]}}}
          seccompProfiles: {type: array, items: {type: string}}
          volumes: {type: array, items: {type: string}}
          users: {type: array, items: {type: string}}
          groups: {type: array, items: {type: string}}
`

// TestOpenShiftTemplate expands the template with the parameters of the historic command and with others, and has the API server
// check every object, without storing it.
func TestOpenShiftTemplate(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(server.Root, packaging.TemplateFile))
	must(t, err)
	withObjects(t, constraintsDefinition)
	must(t, server.Apply(timeout(t, 10*time.Second), "", "{apiVersion: v1, kind: Namespace, metadata: {name: mesh-ops}}"))
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "mesh-ops") })
	server.Mapper.Reset()
	for name, c := range map[string]struct {
		values                   map[string]string
		namespace, image, policy string
	}{
		"TheCommandOfTheArticle": {
			map[string]string{"OPENSHIFT_ISTIO_MASTER_PUBLIC_URL": "https://192.168.1.8:8443"},
			"istio-operator", "quay.io/mesh-operator/mesh-operator:0.1.0", "system:serviceaccount:istio-operator:istio-operator",
		},
		"OwnNamespaceAndMirror": {
			map[string]string{"OPENSHIFT_ISTIO_OPERATOR_NAMESPACE": "mesh-ops", "OPENSHIFT_ISTIO_PREFIX": "registry.example/mesh/", "OPENSHIFT_ISTIO_VERSION": "1.2.3",
				"OPENSHIFT_RELEASE": "v3.11.0", "OPENSHIFT_DEPLOYMENT_TYPE": "openshift"},
			"mesh-ops", "registry.example/mesh/mesh-operator:1.2.3", "system:serviceaccount:mesh-ops:istio-operator",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := processTemplate(text, c.values)
			must(t, err)
			var all strings.Builder
			for _, object := range objects {
				if ns := object.GetNamespace(); ns != "" && ns != c.namespace {
					t.Errorf("%s %s is in namespace %s, want %s", object.GetKind(), object.GetName(), ns, c.namespace)
				}
				fmt.Fprintln(&all, object.Object)
				must(t, dryRun(t, object))
			}
			if len(objects) < 12 || strings.Contains(all.String(), "${") {
				t.Errorf("%d objects; some have parameters left: %t", len(objects), strings.Contains(all.String(), "${"))
			}
			for _, want := range []string{c.image, c.policy} {
				if !strings.Contains(all.String(), want) {
					t.Errorf("no object has %q", want)
				}
			}
		})
	}
}

// dryRun has the API server check an object strictly, as kubectl apply --dry-run=server does.
func dryRun(t *testing.T, object *unstructured.Unstructured) error {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := server.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	_, err = server.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).Patch(timeout(t, time.Minute), object.GetName(),
		"application/apply-patch+yaml", mustJSON(t, object), metav1.PatchOptions{
			FieldManager: "oc", Force: new(true), DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
		})
	if err != nil {
		return fmt.Errorf("dry run of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

func mustJSON(t *testing.T, object *unstructured.Unstructured) []byte {
	t.Helper()
	text, err := object.MarshalJSON()
	must(t, err)
	return text
}

// TestTemplateRules: the processor follows the rules of OpenShift's templates, and the template declares the historic parameters.
func TestTemplateRules(t *testing.T) {
	const text = `{apiVersion: template.openshift.io/v1, kind: Template, labels: {from: template}, parameters: [
		{name: NAME, required: true}, {name: COUNT, value: "2"}, {name: SECRET, generate: expression, from: "x[a-c]{5}[0-9]{3}"}],
		objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: "${NAME}-map"}, data: {"${NAME}": "${SECRET}", other: "${OTHER} ${{COUNT}}"}, count: "${{COUNT}}", flag: "${{NAME}}"}]}`
	objects, err := processTemplate([]byte(text), map[string]string{"NAME": "a"})
	must(t, err)
	got := objects[0].Object
	data, _ := got["data"].(map[string]any)
	secret, _ := data["a"].(string)
	if objects[0].GetName() != "a-map" || got["count"] != 2.0 || got["flag"] != "a" || len(secret) != 9 || secret[0] != 'x' || data["other"] != "${OTHER} ${{COUNT}}" {
		t.Errorf("expanded to %v", got)
	}
	if objects[0].GetLabels()["from"] != "template" {
		t.Errorf("labels are %v", objects[0].GetLabels())
	}
	for problem, values := range map[string]map[string]string{"NAME is required": nil, `unexpected parameter name "MORE"`: {"NAME": "a", "MORE": "b"}} {
		if _, err := processTemplate([]byte(text), values); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%v, want an error with %q", err, problem)
		}
	}
	ours, err := os.ReadFile(filepath.Join(server.Root, packaging.TemplateFile))
	must(t, err)
	names, err := parameterNames(ours)
	must(t, err)
	want := []string{"OPENSHIFT_DEPLOYMENT_TYPE", "OPENSHIFT_ISTIO_MASTER_PUBLIC_URL", "OPENSHIFT_ISTIO_OPERATOR_NAMESPACE", "OPENSHIFT_ISTIO_PREFIX",
		"OPENSHIFT_ISTIO_VERSION", "OPENSHIFT_RELEASE"}
	if !slices.Equal(names, want) {
		t.Errorf("parameters are %q, want %q", names, want)
	}
}
