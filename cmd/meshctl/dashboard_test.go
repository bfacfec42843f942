package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// dashboardAPI is an API server with a Prometheus, a Jaeger without a pod, and a pod with a proxy. Every port of a pod answers with the
// pod's name and the port.
func dashboardAPI(w http.ResponseWriter, r *http.Request) {
	const services, pods = "/api/v1/namespaces/istio-system/services", "/api/v1/namespaces/istio-system/pods"
	prometheus := corev1.Service{TypeMeta: metav1.TypeMeta{Kind: "Service", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "prometheus"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "prometheus"}, Ports: []corev1.ServicePort{{Port: 9090, TargetPort: intstr.FromString("web")}}}}
	jaeger := corev1.Service{TypeMeta: prometheus.TypeMeta, ObjectMeta: metav1.ObjectMeta{Name: "jaeger-query"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "jaeger"}}}
	server := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "prometheus-1-a"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 9091}}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	web := proxyPod("web-1-a", "Running", "istio-proxy")
	web.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	plain := proxyPod("plain-1-a", "Running", "app")
	plain.TypeMeta = web.TypeMeta
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	if r.URL.Query().Get("labelSelector") == "app=prometheus" {
		list.Items = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "starting"}}, server}
	}
	answer, ok := map[string]any{
		services:                                 corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}, Items: []corev1.Service{prometheus, jaeger}},
		services + "/prometheus":                 prometheus,
		services + "/jaeger-query":               jaeger,
		pods:                                     list,
		"/api/v1/namespaces/shop/pods/web-1-a":   web,
		"/api/v1/namespaces/shop/pods/plain-1-a": plain,
		pods + "/prometheus-1-a/portforward":     nil,
		"/api/v1/namespaces/shop/pods/web-1-a/portforward": nil,
	}[r.URL.Path]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
	case answer != nil:
		_ = json.NewEncoder(w).Encode(answer)
	case r.Method != http.MethodPost:
		http.Error(w, "no WebSockets here", http.StatusBadRequest)
	default:
		servePorts(w, r)
	}
}

// servePorts speaks the API server's side of a port-forward over SPDY.
func servePorts(w http.ResponseWriter, r *http.Request) {
	pod := strings.Split(r.URL.Path, "/")[6]
	w.Header().Set(httpstream.HeaderProtocolVersion, "portforward.k8s.io")
	streams := make(chan httpstream.Stream, 8)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close()
	for {
		select {
		case <-conn.CloseChan():
			return
		case s := <-streams:
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeData {
				go func() {
					request, _ := http.ReadRequest(bufio.NewReader(s))
					port := s.Headers().Get(corev1.PortHeader)
					body := pod + " " + port
					if port == "15014" {
						body = syncz
					}
					if request != nil && request.URL.Path == "/debug/logs" {
						body = logAnswer
					}
					fmt.Fprintf(s, "HTTP/1.0 200 OK\r\n\r\n%s", body)
					_ = s.Close()
				}()
			} else {
				_ = s.Close()
			}
		}
	}
}

// TestDashboard opens pages through a port-forward.
func TestDashboard(t *testing.T) {
	kubeconfig := kubeconfigOf(t, dashboardAPI)
	for args, want := range map[string]string{
		"prometheus":            "prometheus-1-a 9091",
		"envoy web-1-a -n shop": "web-1-a 15000",
	} {
		t.Run(args, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			out, in := io.Pipe()
			done := make(chan int, 1)
			var errs strings.Builder
			go func() {
				done <- run(ctx, append([]string{"dashboard", "--browser=false", "--kubeconfig", kubeconfig}, strings.Fields(args)...), streams{nil, in, &errs})
				_ = in.Close()
			}()
			url, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("no address: %v, %s", err, errs.String())
			}
			if !strings.HasPrefix(url, "http://localhost:") {
				t.Fatalf("address %q", url)
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(strings.TrimSpace(url), "localhost", "127.0.0.1", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != want {
				t.Errorf("%q, want %q, %v", body, want, err)
			}
			cancel()
			if code := <-done; code != 0 || errs.String() != "" {
				t.Errorf("code %d, %s", code, errs.String())
			}
		})
	}
}

func TestDashboardRefuses(t *testing.T) {
	kubeconfig := kubeconfigOf(t, dashboardAPI)
	const names = "citadel, envoy, galley, grafana, injector, jaeger, kiali, pilot, prometheus"
	for args, want := range map[string]string{
		"":                        "error: no page is named\nmeshctl: hint: the pages are " + names,
		"grafana":                 "error: grafana is not installed: namespace istio-system has no Service grafana\nmeshctl: hint: spec.grafana of the Installation installs it; installed are: prometheus, jaeger",
		"jaeger":                  "error: jaeger is installed, and none of its 0 pods is ready",
		"mixer":                   "error: there is no page \"mixer\"\nmeshctl: hint: the pages are " + names,
		"prometheus jaeger":       "error: 2 arguments, want one page",
		"envoy":                   "error: 0 pods are named, want one",
		"envoy none -n shop":      "error: namespace shop has no pod none",
		"envoy plain-1-a -n shop": "error: pod plain-1-a has no running proxy",
		"prometheus --port 70000": "hint: write --port 1 to --port 65535",
	} {
		code, out, errs := meshctl(t, append([]string{"dashboard", "--kubeconfig", kubeconfig}, strings.Fields(args)...)...)
		if code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %q, %s", args, code, out, errs)
		}
	}
}
