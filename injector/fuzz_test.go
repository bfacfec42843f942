package injector

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// FuzzInject: whatever pod arrives, the patch applies, a second injection changes nothing, the user's containers keep
// everything but their probes, and nothing privileged is added: no host namespace, no host path, no capability beyond those
// of istio-init.
func FuzzInject(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","annotations":{"traffic.sidecar.istio.io/excludeInboundPorts":"1,2"}},"spec":{"containers":[{"name":"app","readinessProbe":{"tcpSocket":{"port":1}}}]}}`))
	f.Add([]byte(`{"spec":{"initContainers":[{"name":"istio-proxy","image":"auto","env":[{"name":"PROXY_CONCURRENCY","value":"1"}]}],"containers":[{"name":"app"}],"volumes":[]}}`))
	f.Add([]byte(`{"metadata":{"labels":{"a/b~c":"d","app":"{{ . }}"},"annotations":{"x":"y"}},"spec":{"containers":[{"name":"a","livenessProbe":{"grpc":{"port":1}}},{"name":"b"}],"imagePullSecrets":null}}`))
	f.Add([]byte(`{"spec":{"containers":[{"name":"a"},{"name":"istio-proxy"}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}`))
	s := testSettings(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		result, err := s.Inject(Request{Pod: raw, Namespace: "shop", Asked: true})
		if err != nil {
			if refusal := new(Refusal); !errors.As(err, &refusal) {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		if len(result.Patch) == 0 {
			return
		}
		before := &corev1.Pod{}
		if json.Unmarshal(raw, before) != nil || !isObject(raw) {
			return
		}
		patched := apply(t, raw, result.Patch)
		again(t, s, Request{Namespace: "shop", Asked: true}, patched)
		after := &corev1.Pod{}
		if err := json.Unmarshal(patched, after); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(users(before.Spec.Containers), users(after.Spec.Containers)); diff != "" {
			t.Errorf("the user's containers changed (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(users(before.Spec.InitContainers), users(after.Spec.InitContainers)); diff != "" {
			t.Errorf("the user's init containers changed (-before +after):\n%s", diff)
		}
		privileges(t, before, after)
	})
}

// isObject leaves out texts that Go's decoder takes for an object and a JSON patch does not, such as repeated keys.
func isObject(raw []byte) bool {
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	canonical, err := json.Marshal(m)
	var a, b corev1.Pod
	return err == nil && json.Unmarshal(raw, &a) == nil && json.Unmarshal(canonical, &b) == nil && cmp.Equal(a, b)
}

// users are the containers that are not the sidecar's, without probes.
func users(list []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range list {
		if c.Name != proxyName && c.Name != "istio-init" {
			c.ReadinessProbe, c.LivenessProbe, c.StartupProbe = nil, nil, nil
			out = append(out, c)
		}
	}
	return out
}

func privileges(t *testing.T, before, after *corev1.Pod) {
	t.Helper()
	a, b := after.Spec, before.Spec
	if a.HostNetwork != b.HostNetwork || a.HostPID != b.HostPID || a.HostIPC != b.HostIPC {
		t.Error("a host namespace was added")
	}
	if hostPaths(a.Volumes) != hostPaths(b.Volumes) {
		t.Error("a host path was added")
	}
	proxy := findContainer(a.InitContainers, proxyName).SecurityContext
	if *proxy.Privileged || *proxy.RunAsUser != proxyID || len(proxy.Capabilities.Add) > 0 {
		t.Errorf("the proxy's security context is %v", proxy)
	}
}

func hostPaths(volumes []corev1.Volume) int {
	n := 0
	for _, v := range volumes {
		if v.HostPath != nil {
			n++
		}
	}
	return n
}
