package installation

import (
	"encoding/base64"
	"encoding/json"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const trustDomain = "cluster.local"

// commonValues are the values that every chart gets. A key must be there even when it is empty: the charts are rendered
// strictly, so that a misspelled value is an error.
func commonValues(in Input, component string, spec *v1alpha1.ComponentSpec, image string) map[string]any {
	if spec == nil {
		spec = &v1alpha1.ComponentSpec{}
	}
	if spec.Image != "" {
		image = spec.Image
	}
	values := map[string]any{
		"component": component, "namespace": owner.MeshNamespace, "operatorNamespace": owner.OperatorNamespace,
		"revision": owner.DefaultRevision, "trustDomain": trustDomain, "image": image,
		"pullPolicy": pullPolicy(in.Spec), "pullSecrets": pullSecrets(in.Spec),
		"caBundle": base64.StdEncoding.EncodeToString(in.Facts.Roots),
	}
	for key, value := range map[string]any{
		"replicas": spec.Replicas, "autoscaling": spec.Autoscaling, "podDisruptionBudget": spec.PodDisruptionBudget,
		"nodeSelector": spec.NodeSelector, "tolerations": spec.Tolerations, "affinity": spec.Affinity,
		"topologySpreadConstraints": spec.TopologySpreadConstraints, "priorityClassName": spec.PriorityClassName,
		"podLabels": spec.PodLabels, "podAnnotations": spec.PodAnnotations, "env": spec.Env,
		"resources": resources(spec.Resources, "10m", "64Mi"),
	} {
		values[key] = toValues(value)
	}
	return values
}

func pullPolicy(spec *v1alpha1.InstallationSpec) string {
	if spec.Images != nil && spec.Images.PullPolicy != "" {
		return spec.Images.PullPolicy
	}
	return "IfNotPresent"
}

func pullSecrets(spec *v1alpha1.InstallationSpec) any {
	if spec.Images == nil {
		return nil
	}
	return toValues(spec.Images.PullSecrets)
}

// resources are what the user said, or small requests and no limit: a control plane that is killed at a limit takes the mesh
// with it.
func resources(spec *v1alpha1.ResourcesSpec, cpu, memory string) any {
	if spec != nil {
		return spec
	}
	return map[string]any{"requests": map[string]any{"cpu": cpu, "memory": memory}}
}

// injectionValues are what the injector's template is rendered with, as JSON in the ConfigMap istio-sidecar-injector.
func injectionValues(in Input) (map[string]any, error) {
	injection := in.Spec.Injection
	if injection == nil {
		injection = &v1alpha1.InjectionSpec{}
	}
	proxy := injection.Proxy
	if proxy == nil {
		proxy = &v1alpha1.ProxySpec{}
	}
	set := map[string]any{"proxyImage": in.Images.Proxy, "initImage": in.Images.Proxy, "pullPolicy": pullPolicy(in.Spec)}
	if secrets := pullSecrets(in.Spec); secrets != nil {
		set["imagePullSecrets"] = secrets
	}
	if proxy.Resources != nil {
		set["resources"] = toValues(proxy.Resources)
	}
	if proxy.Concurrency != 0 {
		set["concurrency"] = proxy.Concurrency
	}
	if proxy.LogLevel != "" {
		set["logLevel"] = proxy.LogLevel
	}
	values, err := injecttemplate.Values(set)
	return map[string]any{
		"template":        injecttemplate.Config(),
		"annotationOptIn": injection.AnnotationOptIn == nil || *injection.AnnotationOptIn,
		"values":          values,
	}, err
}

// versionOf is the version that injected pods carry.
func versionOf(injection map[string]any) string {
	values, _ := injection["values"].(map[string]any)
	version, _ := values["version"].(string)
	return version
}

// toValues turns a typed value into what templates see: maps, lists and scalars under their JSON names, nil when it is unset.
func toValues(value any) any {
	data, err := json.Marshal(value)
	if err != nil {
		return nil // only a Raw can fail, and the API server has parsed it before
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil
	}
	return out
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
