package packaging

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// manifests are the objects of config/default as a bundle divides them.
type manifests struct {
	deployment  appsv1.Deployment
	definition  apiextensionsv1.CustomResourceDefinition
	permissions []rbacv1.PolicyRule // in the operator's namespace
	cluster     []rbacv1.PolicyRule
	bundled     []document // objects that OLM applies as they are
}

// leftOut are the kinds that OLM makes itself or cannot apply.
var leftOut = map[string]string{
	"Namespace":                        "the user of OLM chooses it",
	"ServiceAccount":                   "OLM makes it",
	"RoleBinding":                      "OLM makes it",
	"ClusterRoleBinding":               "OLM makes it",
	"ValidatingAdmissionPolicy":        "OLM does not support the kind; the operator creates it at its start",
	"ValidatingAdmissionPolicyBinding": "as the policy",
}

// read divides the objects. Roles that are bound to the operator's account become permissions of the ClusterServiceVersion.
func read(all []document) (manifests, error) {
	var m manifests
	bound, err := boundRoles(all)
	if err != nil {
		return m, err
	}
	for _, d := range all {
		kind, name := d.object.GetKind(), d.object.GetName()
		switch {
		case kind == "Deployment":
			err = convert(d, &m.deployment)
		case kind == "CustomResourceDefinition":
			m.bundled = append(m.bundled, d)
			err = convert(d, &m.definition)
		case kind == "Role" && bound[kind+"/"+name]:
			err = appendRules(d, &m.permissions)
		case kind == "ClusterRole" && bound[kind+"/"+name]:
			err = appendRules(d, &m.cluster)
		case kind == "ClusterRole":
			m.bundled = append(m.bundled, d)
		case leftOut[kind] == "":
			err = fmt.Errorf("bundle %s %s: add its kind to leftOut, or bundle it", kind, name)
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// boundRoles are the roles, as kind/name, that config binds to the operator's account.
func boundRoles(all []document) (map[string]bool, error) {
	bound := map[string]bool{}
	for _, d := range all {
		if kind := d.object.GetKind(); kind != "RoleBinding" && kind != "ClusterRoleBinding" {
			continue
		}
		var binding rbacv1.ClusterRoleBinding // a RoleBinding has the same fields
		if err := convert(d, &binding); err != nil {
			return nil, err
		}
		if s := binding.Subjects; len(s) != 1 || s[0].Kind != "ServiceAccount" || s[0].Namespace != owner.OperatorNamespace {
			return nil, fmt.Errorf("bundle %s %s: OLM binds roles to the operator's account only", d.object.GetKind(), d.object.GetName())
		}
		bound[binding.RoleRef.Kind+"/"+binding.RoleRef.Name] = true
	}
	return bound, nil
}

func appendRules(d document, to *[]rbacv1.PolicyRule) error {
	var role rbacv1.ClusterRole // a Role has the same rules
	if err := convert(d, &role); err != nil {
		return err
	}
	*to = append(*to, role.Rules...)
	return nil
}

func convert(d document, to any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.object.Object, to); err != nil {
		return fmt.Errorf("read %s %s: %w", d.object.GetKind(), d.object.GetName(), err)
	}
	return nil
}
