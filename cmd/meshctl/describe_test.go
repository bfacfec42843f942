package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// syncz is what pilot says of its proxies.
const syncz = `[{"proxy": "web-1-a.shop", "types": {"cds": {"behind": 0}, "lds": {"behind": 2}}}, {"proxy": "other.shop", "types": {}}]`

// describeAPI is an API server with pilot, a pod with a proxy and a Service, and without Istio's kinds.
func describeAPI(w http.ResponseWriter, r *http.Request) {
	web := proxyPod("web-1-a", "Running", "istio-proxy")
	web.Labels["security.istio.io/tlsMode"], web.Labels["app"] = "istio", "web"
	pilot := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "istio-pilot-1-a", Namespace: "istio-system"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	service := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	list := metav1.ListMeta{ResourceVersion: "1"}
	lists := map[string]any{
		"/api/v1/pods":     corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: list, Items: []corev1.Pod{web, pilot}},
		"/api/v1/services": corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}, ListMeta: list, Items: []corev1.Service{service}},
		"/apis/discovery.k8s.io/v1/endpointslices":   metav1.List{TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"}, ListMeta: list},
		"/api/v1/namespaces/istio-system/configmaps": corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}, ListMeta: list},
		"/api/v1/namespaces/istio-system/secrets":    corev1.SecretList{TypeMeta: metav1.TypeMeta{Kind: "SecretList", APIVersion: "v1"}, ListMeta: list},
		"/api/v1/namespaces/istio-system/pods":       corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{pilot}},
	}
	answer, ok := lists[r.URL.Path]
	switch query := r.URL.Query(); {
	case ok && query.Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonInvalid, Code: 422})
	case ok && query.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		<-r.Context().Done()
	case ok:
		_ = json.NewEncoder(w).Encode(answer)
	case strings.HasSuffix(r.URL.Path, "/istio-pilot-1-a/portforward") && r.Method == http.MethodPost:
		servePorts(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
	}
}

// TestDescribe reads a mesh from an API server, and the state of a proxy from pilot. What is described in which words is tested in
// package describe.
func TestDescribe(t *testing.T) {
	kubeconfig := kubeconfigOf(t, describeAPI)
	for args, want := range map[string][]string{
		"pod web-1-a -n shop":        {"0 Pod shop/web-1-a\n", "  sidecar, connected to pilot, which has 2 changes to send\n", "  port 80, http as web.shop.svc.cluster.local:80: "},
		"svc/web -n shop":            {"0 Service shop/web, host web.shop.svc.cluster.local\n", "  port 80, http: 0 endpoints", "  web-1-a: sidecar, port 80 "},
		"pod none -n shop":           {"1 meshctl: error: namespace shop has no pod none\nmeshctl: hint: name its namespace with -n"},
		"service web":                {"1 meshctl: error: namespace default has no service web\n"},
		"node a":                     {"1 meshctl: error: no pod or Service is named\nmeshctl: hint: write meshctl describe pod NAME"},
		"pod web --kubeconfig /none": {"1 meshctl: error: read kubeconfig: "},
	} {
		t.Run(args, func(t *testing.T) {
			code, out, errs := meshctl(t, append([]string{"describe", "--kubeconfig", kubeconfig}, strings.Fields(args)...)...)
			got := string(rune('0'+code)) + " " + out + errs
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("no %q in\n%s", text, got)
				}
			}
		})
	}
}

// TestDescribeNamesMissingList has an API server that answers nothing.
func TestDescribeNamesMissingList(t *testing.T) {
	kubeconfig := kubeconfigOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	code, _, errs := meshctl(t, "describe", "--kubeconfig", kubeconfig, "--timeout", "1s", "pod", "a")
	if code != 1 || !strings.Contains(errs, "waiting for the list of pods") || !strings.Contains(errs, "hint: it takes the right to list these objects") {
		t.Errorf("code %d, %s", code, errs)
	}
}

func TestProxySync(t *testing.T) {
	for text, want := range map[string]string{
		`{"types": {"cds": {}}}`:                                  "in step with pilot",
		`{"types": {"lds": {"rejected": "bad port"}}}`:            "its Envoy has rejected lds: bad port",
		`{"internal_error": "panic", "types": {"lds": {}}}`:       "not in step with pilot: panic",
		`{"types": {"cds": {"behind": 1}, "lds": {"behind": 2}}}`: "connected to pilot, which has 3 changes to send",
	} {
		var p proxySync
		if err := json.Unmarshal([]byte(text), &p); err != nil || p.String() != want {
			t.Errorf("%s: %q, %v", text, p.String(), err)
		}
	}
}
