package packaging

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/controllers/installation/admission"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// TemplateFile is the template for oc new-app and oc process, under the name that the historic product's had.
const TemplateFile = OpenShift + "/istio_product_operator_template.yaml"

// Names of the template's parameters that have an effect.
const (
	namespaceParameter = "OPENSHIFT_ISTIO_OPERATOR_NAMESPACE"
	prefixParameter    = "OPENSHIFT_ISTIO_PREFIX"
	versionParameter   = "OPENSHIFT_ISTIO_VERSION"
)

// parameter is one of a template; its name and default are the historic product's where it has a meaning today.
type parameter struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Value       string `json:"value,omitempty"`
	Required    bool   `json:"required,omitempty"`
}

const unused = "Not used: accepted so that commands for the historic product work. "

var parameters = []parameter{
	{namespaceParameter, "The namespace of the operator and the Installation, which must exist.", owner.OperatorNamespace, true},
	{prefixParameter, "What stands before the names of this operator's images: a registry and folder. The historic prefixes hold none of them.", desired.BuiltInRegistry, true},
	{versionParameter, "The tag of this operator's images. Images of the historic versions do not exist.", version.Version, true},
	{"OPENSHIFT_ISTIO_MASTER_PUBLIC_URL", unused + "The operator asks the API server of its own cluster.", "", false},
	{"OPENSHIFT_RELEASE", unused + "The operator asks the cluster for its version.", "", false},
	{"OPENSHIFT_DEPLOYMENT_TYPE", unused + "Set spec.deployment_type of the Installation.", "", false},
}

// Template returns the OpenShift template: the objects of config/openshift without the namespace, which oc new-project makes.
func Template(repository fs.FS, scc []byte) ([]byte, error) {
	all, err := documents(repository, Default)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(d document) bool {
		kind := d.object.GetKind()
		return kind == "Namespace" || strings.HasPrefix(kind, "ValidatingAdmissionPolicy") // the policy comes again, with the parameter
	})
	for _, text := range [][]byte{scc, admission.Confinement("${" + namespaceParameter + "}")} {
		more, err := parseDocuments(OpenShift, text)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	if err := sortDocuments(all); err != nil {
		return nil, err
	}
	template := map[string]any{
		"apiVersion": "template.openshift.io/v1", "kind": "Template", "parameters": parameters,
		"metadata": map[string]any{"name": "istio-operator-job", "annotations": map[string]any{"description": summary}},
	}
	var objects []any
	for _, d := range all {
		objects = append(objects, withParameters(d.object))
	}
	template["objects"] = objects
	text, err := yaml.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("marshal template: %w", err)
	}
	return append([]byte(generated+"#\n#   oc new-project istio-operator && oc new-app -f istio_product_operator_template.yaml\n"), withImageParameters(text)...), nil
}

// withParameters puts the parameter in the place of the operator's namespace.
func withParameters(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	if object.GetNamespace() == owner.OperatorNamespace {
		object.SetNamespace("${" + namespaceParameter + "}")
	}
	subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
	for _, item := range subjects {
		if subject, _ := item.(map[string]any); subject["namespace"] == owner.OperatorNamespace {
			subject["namespace"] = "${" + namespaceParameter + "}"
		}
	}
	if len(subjects) > 0 {
		object.Object["subjects"] = subjects
	}
	return object.Object
}

// withImageParameters puts the parameters in the place of this operator's own images.
func withImageParameters(text []byte) []byte {
	for _, name := range []string{desired.OperatorImage, desired.ProxyImage} {
		text = bytes.ReplaceAll(text, []byte(desired.BuiltInRegistry+name+":"+version.Version+"\n"),
			[]byte("${"+prefixParameter+"}"+name+":${"+versionParameter+"}\n"))
	}
	return text
}
