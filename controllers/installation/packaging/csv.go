package packaging

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	operatorversion "github.com/operator-framework/api/pkg/lib/version"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

//go:embed icon.svg
var icon []byte

//go:embed description.md
var description string

const (
	// created is the day of the version; a release changes it with the version.
	created  = "2026-11-29T00:00:00Z"
	homepage = "https://github.com/mesh-operator/mesh-operator"
	summary  = "Installs, repairs and removes a whole Istio-compatible service mesh from one resource."
	// minKube is where ValidatingAdmissionPolicies are.
	minKube = "1.30.0"
)

// csv returns the ClusterServiceVersion.
func (m manifests) csv(files fs.FS) ([]byte, error) {
	examples, err := examples(files)
	if err != nil {
		return nil, err
	}
	csv := &v1alpha1.ClusterServiceVersion{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.ClusterServiceVersionAPIVersion, Kind: v1alpha1.ClusterServiceVersionKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: CSVName, Namespace: "placeholder", Annotations: m.annotations(examples),
			Labels: map[string]string{"operatorframework.io/arch.amd64": "supported", "operatorframework.io/os.linux": "supported"},
		},
		Spec: m.spec(),
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(csv)
	if err != nil {
		return nil, fmt.Errorf("convert ClusterServiceVersion: %w", err)
	}
	delete(object, "status")
	text, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("marshal ClusterServiceVersion: %w", err)
	}
	return append([]byte(generated), text...), nil
}

// examples are the samples as a JSON list. A console and the scorecard want a spec in each, which the minimal one has not.
func examples(files fs.FS) ([]map[string]any, error) {
	var all []map[string]any
	for _, name := range []string{"istio-installation.yaml", "istio-installation-minimal.yaml"} {
		text, err := fs.ReadFile(files, path.Join("config/samples", name))
		if err != nil {
			return nil, fmt.Errorf("read sample: %w", err)
		}
		var object map[string]any
		if err := yaml.Unmarshal(text, &object); err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		if object["spec"] == nil {
			object["spec"] = map[string]any{"istio": map[string]any{"authentication": true}}
		}
		all = append(all, object)
	}
	return all, nil
}

func (m manifests) annotations(examples []map[string]any) map[string]string {
	out := map[string]string{
		"alm-examples":   compactJSON(examples),
		"capabilities":   "Basic Install",
		"categories":     "Networking",
		"containerImage": m.deployment.Spec.Template.Spec.Containers[0].Image,
		"createdAt":      created,
		"description":    summary,
		"repository":     homepage,
		"support":        "the mesh-operator project",

		"operatorframework.io/suggested-namespace":     owner.OperatorNamespace,
		"operatorframework.io/initialization-resource": compactJSON(examples[1]),
	}
	// Nothing of this is tested, so nothing of it is claimed.
	for _, feature := range []string{"cnf", "cni", "csi", "disconnected", "fips-compliant", "proxy-aware", "tls-profiles", "token-auth-aws", "token-auth-azure", "token-auth-gcp"} {
		out["features.operators.openshift.io/"+feature] = "false"
	}
	return out
}

func compactJSON(value any) string {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("marshal a sample: %v", err)) // it was read from YAML
	}
	return string(text)
}

func (m manifests) spec() v1alpha1.ClusterServiceVersionSpec {
	account := m.deployment.Spec.Template.Spec.ServiceAccountName
	return v1alpha1.ClusterServiceVersionSpec{
		DisplayName:    "Istio Installation",
		Description:    description,
		Version:        operatorversion.OperatorVersion{Version: semver.MustParse(version.Version)},
		Maturity:       "alpha",
		MinKubeVersion: minKube,
		Keywords:       []string{"istio", "envoy", "service mesh", "mTLS", "tracing"},
		Maintainers:    []v1alpha1.Maintainer{{Name: "mesh-operator maintainers", Email: "mesh-operator@users.noreply.github.com"}},
		Provider:       v1alpha1.AppLink{Name: "mesh-operator", URL: homepage},
		Links:          []v1alpha1.AppLink{{Name: "Source code", URL: homepage}, {Name: "Documentation", URL: homepage + "/tree/main/docs"}},
		Icon:           []v1alpha1.Icon{{Data: base64.StdEncoding.EncodeToString(icon), MediaType: "image/svg+xml"}},
		// With OwnNamespace the permissions in its namespace stay there. OLM v1 knows AllNamespaces alone.
		InstallModes: []v1alpha1.InstallMode{
			{Type: v1alpha1.InstallModeTypeOwnNamespace, Supported: true},
			{Type: v1alpha1.InstallModeTypeSingleNamespace, Supported: false},
			{Type: v1alpha1.InstallModeTypeMultiNamespace, Supported: false},
			{Type: v1alpha1.InstallModeTypeAllNamespaces, Supported: true},
		},
		InstallStrategy: v1alpha1.NamedInstallStrategy{
			StrategyName: v1alpha1.InstallStrategyNameDeployment,
			StrategySpec: v1alpha1.StrategyDetailsDeployment{
				DeploymentSpecs:    []v1alpha1.StrategyDeploymentSpec{{Name: m.deployment.Name, Spec: m.deployment.Spec, Label: m.deployment.Labels}},
				Permissions:        []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: account, Rules: m.permissions}},
				ClusterPermissions: []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: account, Rules: m.cluster}},
			},
		},
		RelatedImages:             relatedImages(),
		CustomResourceDefinitions: v1alpha1.CustomResourceDefinitions{Owned: []v1alpha1.CRDDescription{m.owned()}},
	}
}

func relatedImages() []v1alpha1.RelatedImage {
	var out []v1alpha1.RelatedImage
	for _, image := range desired.BuiltIn() {
		out = append(out, v1alpha1.RelatedImage{Name: image.Name, Image: image.Reference})
	}
	return out
}

// owned describes Installation to a console.
func (m manifests) owned() v1alpha1.CRDDescription {
	schema := m.definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	return v1alpha1.CRDDescription{
		Name: m.definition.Name, Version: m.definition.Spec.Versions[0].Name, Kind: m.definition.Spec.Names.Kind,
		DisplayName: "Installation", Description: summary, Resources: resources(),
		SpecDescriptors: specDescriptors(schema.Properties["spec"]), StatusDescriptors: statusDescriptors(schema.Properties["status"]),
	}
}

// resources are the kinds of objects that a mesh consists of, which a console lists below the Installation.
func resources() []v1alpha1.APIResourceReference {
	var out []v1alpha1.APIResourceReference
	for _, row := range kinds.Where(func(k kinds.Kind) bool { return k.Applied && k.Namespaced }) {
		out = append(out, v1alpha1.APIResourceReference{Kind: row.Kind, Version: row.GroupVersion().String()})
	}
	slices.SortFunc(out, func(a, b v1alpha1.APIResourceReference) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

// checkImages fails where the Deployment does not name the images of the tables.
func (m manifests) checkImages() error {
	named := map[string]string{}
	for _, variable := range m.deployment.Spec.Template.Spec.Containers[0].Env {
		named[variable.Name] = variable.Value
	}
	for _, image := range desired.BuiltIn() {
		if named[image.Variable] != image.Reference {
			return fmt.Errorf("check images of config/manager/deployment.yaml: %s is %q, want %q", image.Variable, named[image.Variable], image.Reference)
		}
	}
	if slices.ContainsFunc(m.deployment.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return len(c.Resources.Requests) < 2 }) {
		return errors.New("check config/manager/deployment.yaml: a container has no requests of cpu and memory")
	}
	return nil
}
