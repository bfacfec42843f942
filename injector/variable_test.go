package injector

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestTheKubeletExpandsNothing: the agent reads the user's probes and the way to the metrics as they were written. The
// kubelet expands what begins with a dollar, so the variables have none.
func TestTheKubeletExpandsNothing(t *testing.T) {
	const odd = `/a$(POD_UID)$$(b)\$"$`
	pod := corev1.Pod{}
	pod.Annotations = map[string]string{scrapeKey: "true", scrapePathKey: odd}
	pod.Spec.Containers = []corev1.Container{{Name: "app", ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: odd, HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Price", Value: "$$1"}}},
	}}}}
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	result, err := testSettings(t).Inject(Request{Pod: raw, Namespace: "shop", NamespaceLabels: map[string]string{namespaceLabel: "enabled"}})
	if err != nil {
		t.Fatal(err)
	}
	var probes map[string]prober
	var metrics struct{ Path string }
	readVariable(t, apply(t, raw, result.Patch), "ISTIO_KUBE_APP_PROBERS", &probes)
	readVariable(t, apply(t, raw, result.Patch), "ISTIO_PROMETHEUS_ANNOTATIONS", &metrics)
	get := probes["/app-health/app/readyz"].HTTPGet
	if get == nil || get.Path != odd || get.HTTPHeaders[0].Value != "$$1" {
		t.Errorf("the agent reads %+v", get)
	}
	if metrics.Path != odd {
		t.Errorf("the agent reads metrics at %q", metrics.Path)
	}
}

// readVariable decodes a variable of the sidecar's.
func readVariable(t *testing.T, raw []byte, name string, into any) {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	proxy := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == proxyName })
	env := pod.Spec.InitContainers[proxy].Env
	i := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 || strings.Contains(env[i].Value, "$") {
		t.Fatalf("variable %s at %d of %v", name, i, env)
	}
	if err := json.Unmarshal([]byte(env[i].Value), into); err != nil {
		t.Fatal(err)
	}
}
