package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	podworkload "github.com/mesh-operator/mesh-operator/internal/workload"
)

const (
	proxyContainer = "istio-proxy"
	metricsPort    = "15020"
	metricsPath    = "stats/prometheus"
	maxMetricsPage = 64 << 20 // bytes of a pod's page
	parallelPages  = 16
)

// proxyTop reads the pages of the proxies again and again.
type proxyTop struct {
	client    kubernetes.Interface
	namespace string
	interval  time.Duration
	warnings  io.Writer

	before map[string]sample // by pod
}

// sample is what a pod's page says.
type sample struct {
	namespace, workload string
	at                  time.Time
	in, out             counts
}

func newProxyTop(c *topCommand) (topSource, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, hint(fmt.Errorf("read kubeconfig: %w", err), "name one with --kubeconfig, or ask a Prometheus with --prometheus URL")
	}
	config.QPS, config.Burst = -1, -1 // a page for each pod, at most parallelPages at a time
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	return (&proxyTop{client: client, namespace: c.namespace, interval: c.interval, warnings: c.err}).next, nil
}

// next waits for the interval, and returns what has changed in it. Pods that have come meanwhile are in the next one.
func (p *proxyTop) next(ctx context.Context) ([]topRow, error) {
	if p.before == nil {
		first, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		p.before = first
	}
	if err := wait(ctx, p.interval); err != nil {
		return nil, err
	}
	now, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	rows := rowsOf(p.before, now)
	p.before = now
	return rows, nil
}

// rowsOf adds up the pods of each workload.
func rowsOf(before, now map[string]sample) []topRow {
	rows := map[[2]string]*topRow{}
	var in, out = map[*topRow]*counts{}, map[*topRow]*counts{}
	seconds := map[*topRow]float64{}
	for pod, s := range now {
		last, ok := before[pod]
		if !ok {
			continue
		}
		key := [2]string{s.namespace, s.workload}
		row := rows[key]
		if row == nil {
			row = &topRow{Namespace: s.namespace, Workload: s.workload}
			rows[key], in[row], out[row] = row, &counts{}, &counts{}
		}
		row.Pods++
		in[row].add(s.in.since(last.in))
		out[row].add(s.out.since(last.out))
		seconds[row] = max(seconds[row], s.at.Sub(last.at).Seconds())
	}
	list := []topRow{}
	for _, row := range rows {
		row.In, row.Out = in[row].traffic(seconds[row]), out[row].traffic(seconds[row])
		list = append(list, *row)
	}
	return list
}

// read returns the samples of all pods with a proxy that answer. The workload is the one that Kubernetes says the pod is of: a pod
// writes its page itself.
func (p *proxyTop) read(ctx context.Context) (map[string]sample, error) {
	pods, err := p.client.CoreV1().Pods(p.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	samples, failures, slots := map[string]sample{}, []error(nil), make(chan struct{}, parallelPages)
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !hasProxy(pod) {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			s, err := p.page(ctx, pod)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			samples[pod.Namespace+"/"+pod.Name] = s
		})
	}
	group.Wait()
	switch {
	case len(samples) > 0 && len(failures) > 0:
		fmt.Fprintf(p.warnings, "meshctl: warning: %d of %d proxies do not answer: %s\n", len(failures), len(failures)+len(samples), printable(failures[0].Error()))
	case len(failures) > 0:
		return nil, hint(errors.New(printable(failures[0].Error())), "the right to get pods/proxy is needed; or ask a Prometheus with --prometheus URL")
	case len(samples) == 0:
		return nil, hint(errors.New("no running pod has a proxy"), "name another namespace with -n; pods get a proxy in namespaces with the label istio-injection=enabled")
	}
	return samples, nil
}

func hasProxy(pod *corev1.Pod) bool {
	isProxy := func(c corev1.Container) bool { return c.Name == proxyContainer }
	return pod.Status.Phase == corev1.PodRunning &&
		(slices.ContainsFunc(pod.Spec.Containers, isProxy) || slices.ContainsFunc(pod.Spec.InitContainers, isProxy))
}

func (p *proxyTop) page(ctx context.Context, pod *corev1.Pod) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := sample{namespace: pod.Namespace, workload: podworkload.Name(pod, podworkload.OwnerOf(pod))}
	stream, err := p.client.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, metricsPort, metricsPath, nil).Stream(ctx)
	if err != nil {
		return s, fmt.Errorf("read metrics of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	defer stream.Close()
	page, err := io.ReadAll(io.LimitReader(stream, maxMetricsPage))
	if err != nil {
		return s, fmt.Errorf("read metrics of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	s.at = time.Now()
	if s.in, s.out, err = parsePage(page); err != nil {
		return s, fmt.Errorf("read metrics of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return s, nil
}

// parsePage adds up the request metrics of a page: what the proxy received (reporter destination) and what it sent (source). A gateway
// reports as a source only.
func parsePage(page []byte) (in, out counts, err error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return in, out, fmt.Errorf("parse page: %w", err)
	}
	side := func(labels map[string]string) *counts {
		if labels["reporter"] == "destination" {
			return &in
		}
		return &out
	}
	for _, m := range families["istio_requests_total"].GetMetric() {
		labels := labelsOf(m)
		c, n := side(labels), m.GetCounter().GetValue()
		c.requests += n
		if isError(labels["response_code"], labels["grpc_response_status"]) {
			c.errors += n
		}
	}
	for _, m := range families["istio_request_duration_milliseconds"].GetMetric() {
		c := side(labelsOf(m))
		for _, b := range m.GetHistogram().GetBucket() {
			c.bucket(b.GetUpperBound(), float64(b.GetCumulativeCount()))
		}
	}
	return in, out, nil
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}
