package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/names"
	podworkload "github.com/mesh-operator/mesh-operator/internal/workload"
)

const (
	proxyContainer = "istio-proxy"
	metricsPath    = "stats/prometheus"
	maxMetricsPage = 64 << 20 // bytes of a pod's page
	parallelPages  = 16
)

// proxyPages reads the metrics of proxies through the API server.
type proxyPages struct {
	client    kubernetes.Interface
	namespace string // "": all
	warnings  io.Writer
}

// proxyPage is what a pod serves.
type proxyPage struct {
	namespace, workload string
	at                  time.Time
	families            map[string]*dto.MetricFamily
}

// read returns the pages of all pods with a proxy that answer. The workload is the one that Kubernetes says the pod is of: a pod
// writes its page itself.
func (r proxyPages) read(ctx context.Context) (map[string]proxyPage, error) {
	pods, err := r.client.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	pages, failures, slots := map[string]proxyPage{}, []error(nil), make(chan struct{}, parallelPages)
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !hasProxy(pod) {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			read, err := r.page(ctx, pod)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			pages[pod.Namespace+"/"+pod.Name] = read
		})
	}
	group.Wait()
	switch {
	case len(pages) > 0 && len(failures) > 0:
		fmt.Fprintf(r.warnings, "meshctl: warning: %d of %d proxies do not answer: %s\n", len(failures), len(failures)+len(pages), printable(failures[0].Error()))
	case len(failures) > 0:
		return nil, hint(errors.New(printable(failures[0].Error())), "the right to get pods/proxy is needed; or ask a Prometheus with --prometheus URL")
	case len(pages) == 0:
		return nil, hint(errors.New("no running pod has a proxy"), "name another namespace with -n; pods get a proxy in namespaces with the label istio-injection=enabled")
	}
	return pages, nil
}

func hasProxy(pod *corev1.Pod) bool {
	isProxy := func(c corev1.Container) bool { return c.Name == proxyContainer }
	return pod.Status.Phase == corev1.PodRunning &&
		(slices.ContainsFunc(pod.Spec.Containers, isProxy) || slices.ContainsFunc(pod.Spec.InitContainers, isProxy))
}

func (r proxyPages) page(ctx context.Context, pod *corev1.Pod) (proxyPage, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p := proxyPage{namespace: pod.Namespace, workload: podworkload.Name(pod, podworkload.OwnerOf(pod))}
	stream, err := r.client.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, strconv.Itoa(names.AgentPort), metricsPath, nil).Stream(ctx)
	if err != nil {
		return p, fmt.Errorf("read metrics of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	defer stream.Close()
	p.at = time.Now()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if p.families, err = parser.TextToMetricFamilies(io.LimitReader(stream, maxMetricsPage)); err != nil {
		return p, fmt.Errorf("read metrics of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return p, nil
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}
