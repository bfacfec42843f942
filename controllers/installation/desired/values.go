package desired

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const trustDomain = "cluster.local"

// commonValues are the values that every chart gets. A key must be there even when it is empty: the charts are rendered
// strictly, so that a misspelled value is an error.
func commonValues(in Input, row Row) map[string]any {
	spec := row.section(in.Spec)
	if spec == nil {
		spec = &v1alpha1.ComponentSpec{}
	}
	values := map[string]any{
		"component": row.Name, "namespace": owner.MeshNamespace, "operatorNamespace": cmp.Or(in.OperatorNamespace, owner.OperatorNamespace),
		"revision": owner.DefaultRevision, "trustDomain": trustDomain, "image": row.image(in),
		"pullPolicy": pullPolicy(in.Spec), "pullSecrets": pullSecrets(in.Spec),
		"caBundle": base64.StdEncoding.EncodeToString(in.Facts.Roots),
	}
	for key, value := range map[string]any{
		"replicas": spec.Replicas, "autoscaling": spec.Autoscaling, "podDisruptionBudget": spec.PodDisruptionBudget,
		"nodeSelector": spec.NodeSelector, "tolerations": spec.Tolerations, "affinity": spec.Affinity,
		"topologySpreadConstraints": spec.TopologySpreadConstraints, "priorityClassName": spec.PriorityClassName,
		"podLabels": spec.PodLabels, "podAnnotations": spec.PodAnnotations, "env": userVariables(spec.Env),
		"resources": resources(spec.Resources, "10m", "64Mi"),
	} {
		values[key] = toValues(value)
	}
	return values
}

// image is the component's own image reference, or the one of its name.
func (r Row) image(in Input) string {
	if spec := r.section(in.Spec); spec != nil && spec.Image != "" {
		return spec.Image
	}
	return in.Images[r.Image]
}

// baseValues are the mesh-wide settings of the chart base.
func baseValues(in Input) (map[string]any, error) {
	mode, _ := mtlsMode(in.Spec)
	policy := "REGISTRY_ONLY"
	if in.Spec.Mesh != nil {
		policy = cmp.Or(in.Spec.Mesh.OutboundTrafficPolicy, policy)
	}
	return map[string]any{"mtlsMode": mode, "outboundTrafficPolicy": policy, "tracing": tracingValues(in.Spec),
		"accessLogEncoding": accessLogEncoding(in.Spec), "accessLogCollectors": accessLogCollectors(in.Spec),
	}, nil
}

// citadelValues: workloadCertTTL is the lifetime of workload certificates; no request gets a longer one.
func citadelValues(in Input) (map[string]any, error) {
	ttl := "24h"
	if in.Spec.Security != nil {
		ttl = cmp.Or(in.Spec.Security.WorkloadCertTTL, ttl)
	}
	return map[string]any{"workloadCertTTL": ttl}, nil
}

// injectorValues puts the values of the injection template below "injection".
func injectorValues(in Input) (map[string]any, error) {
	injection, err := injectionValues(in)
	if err != nil {
		return nil, fmt.Errorf("compute values of the injection template: %w", err)
	}
	return map[string]any{"injection": injection}, nil
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

// resources are those of spec, or small requests and no limit: a control plane that is killed at a limit takes the mesh with
// it.
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
	set := map[string]any{"proxyImage": in.Images[ProxyImage], "initImage": in.Images[ProxyImage], "pullPolicy": pullPolicy(in.Spec)}
	if secrets := pullSecrets(in.Spec); secrets != nil {
		set["imagePullSecrets"] = secrets
	}
	if proxy.Resources != nil {
		set["resources"] = toValues(proxy.Resources)
	}
	if init := injection.Init; init != nil && init.Resources != nil {
		set["initResources"] = toValues(init.Resources)
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
func versionOf(injectorValues map[string]any) string {
	injection, _ := injectorValues["injection"].(map[string]any)
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
