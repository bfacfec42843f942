package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTargets(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Annotations: map[string]string{"prometheus.io/scrape": "true"}},
		Spec: corev1.PodSpec{
			Containers:     []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80, Protocol: "TCP"}}}},
			InitContainers: []corev1.Container{{Name: "istio-proxy"}},
		},
		Status: corev1.PodStatus{PodIP: "fd00::1", Phase: corev1.PodRunning},
	}
	got := targets(job{}, []*corev1.Pod{pod, {ObjectMeta: metav1.ObjectMeta{Name: "pending"}}})
	var addresses []string
	for _, g := range got {
		addresses = append(addresses, g.Targets[0]+" "+g.Labels[meta+"pod_container_name"]+" "+g.Labels[meta+"pod_container_init"])
	}
	if diff := cmp.Diff([]string{"[fd00::1]:80 c false", "fd00::1 istio-proxy true"}, addresses); diff != "" {
		t.Fatal(diff)
	}
	want := map[string]string{
		"namespace": "n", "pod_name": "p", "pod_ip": "fd00::1", "pod_phase": "Running", "pod_node_name": "", "pod_host_ip": "", "pod_uid": "",
		"pod_annotation_prometheus_io_scrape": "true", "pod_annotationpresent_prometheus_io_scrape": "true",
		"pod_container_name": "c", "pod_container_image": "i", "pod_container_init": "false",
		"pod_container_port_name": "http", "pod_container_port_number": "80", "pod_container_port_protocol": "TCP",
	}
	labels := map[string]string{}
	for name, value := range got[0].Labels {
		labels[strings.TrimPrefix(name, meta)] = value
	}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Error(diff)
	}
	if got := targets(job{namespaces: []string{"other"}}, []*corev1.Pod{pod}); len(got) != 0 {
		t.Errorf("targets of a namespace that the job leaves out: %v", got)
	}
}

func TestRewrite(t *testing.T) {
	text, jobs, err := rewrite([]byte(`scrape_configs:
- {job_name: own, static_configs: []}
- {job_name: pods, kubernetes_sd_configs: [{role: pod, namespaces: {names: [a, b]}}]}
`), "/d")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]job{{"/d/pods.json", []string{"a", "b"}}}, jobs, cmp.AllowUnexported(job{})); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(text), "kubernetes") || !strings.Contains(string(text), "/d/pods.json") {
		t.Errorf("%s", text)
	}
	if _, _, err := rewrite([]byte(`scrape_configs: [{job_name: x, kubernetes_sd_configs: [{role: node}]}]`), "/d"); err == nil {
		t.Error("role node is not refused")
	}
}
