package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// olm plays the part of OLM that concerns objects, for a bundle that is installed for its own namespace: from the
// ClusterServiceVersion it makes the account, its roles under names of its own choice and the Deployment, and applies the other
// manifests as they are.
type olm struct {
	server      *Server
	namespace   string
	csv         v1alpha1.ClusterServiceVersion
	definitions []*unstructured.Unstructured
	others      []*unstructured.Unstructured
}

// readBundle reads the manifests of a bundle.
func readBundle(s *Server, namespace string) (*olm, error) {
	o := &olm{server: s, namespace: namespace}
	files, err := filepath.Glob(filepath.Join(s.Root, "bundle", "manifests", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(file, ".clusterserviceversion.yaml") {
			err = yaml.Unmarshal(text, &o.csv)
		} else {
			err = o.add(string(text))
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	if o.csv.Name == "" {
		return nil, errors.New("read the bundle: it has no ClusterServiceVersion")
	}
	return o, nil
}

func (o *olm) add(text string) error {
	objects, err := lab.Objects(text)
	for _, object := range objects {
		if object.GetKind() == "CustomResourceDefinition" {
			o.definitions = append(o.definitions, object)
		} else {
			o.others = append(o.others, object)
		}
	}
	return err
}

// permissions are the roles and bindings of the ClusterServiceVersion. The names are not those of config/rbac.
func (o *olm) permissions() ([]*unstructured.Unstructured, error) {
	strategy := o.csv.Spec.InstallStrategy.StrategySpec
	var out []*unstructured.Unstructured
	for kind, list := range map[string][]v1alpha1.StrategyDeploymentPermissions{"Role": strategy.Permissions, "ClusterRole": strategy.ClusterPermissions} {
		for i, p := range list {
			name := fmt.Sprintf("%s-%d", o.csv.Name, i)
			role := rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}, Rules: p.Rules}
			binding := rbacv1.ClusterRoleBinding{
				TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind + "Binding"},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name},
				Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: p.ServiceAccountName, Namespace: o.namespace}},
			}
			for _, typed := range []any{&role, &binding} {
				object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
				if err != nil {
					return nil, err
				}
				u := &unstructured.Unstructured{Object: object}
				u.SetName(name)
				out = append(out, u)
			}
		}
	}
	return out, nil
}

// install applies everything but the definitions.
func (o *olm) install(ctx context.Context) error {
	roles, err := o.permissions()
	if err != nil {
		return err
	}
	var deployments []*unstructured.Unstructured
	for _, d := range o.csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs {
		spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&d.Spec)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}}
		u.SetName(d.Name)
		deployments = append(deployments, u)
	}
	account := fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s}}", o.account())
	if err := o.server.Apply(ctx, o.namespace, account); err != nil {
		return err
	}
	for _, list := range [][]*unstructured.Unstructured{roles, o.others, deployments} {
		if err := o.server.ApplyObjects(ctx, o.namespace, list); err != nil {
			return err
		}
	}
	return nil
}

// define applies the definitions.
func (o *olm) define(ctx context.Context) error {
	if err := o.server.ApplyObjects(ctx, "", o.definitions); err != nil {
		return err
	}
	return o.server.servesInstallations(ctx)
}

func (o *olm) account() string {
	return o.csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Spec.ServiceAccountName
}

// config is a client's configuration with the token of the operator's account and nothing else.
func (o *olm) config(ctx context.Context) (*rest.Config, error) {
	token, err := o.server.Client.CoreV1().ServiceAccounts(o.namespace).CreateToken(ctx, o.account(), &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token: %w", err)
	}
	config := rest.AnonymousClientConfig(o.server.Config)
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config, nil
}
