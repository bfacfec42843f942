package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const (
	telemetryPods  = "istio=telemetry"
	telemetryDebug = 15014
	maxLogAnswer   = 256 << 20 // bytes
	logTimeout     = 30 * time.Second
)

// logSource reads all instances of istio-telemetry; each has the entries of some proxies.
type logSource struct {
	instances func(context.Context) (map[string]*http.Client, error) // by name
	base      func(instance string) string
	warnings  io.Writer
	positions map[string]position // by name
}

// position is what was read of an instance.
type position struct {
	instance string // as it calls itself: a new process has a new one
	cursor   uint64
}

func (c *logsCommand) source() (*logSource, error) {
	s := &logSource{warnings: c.err, positions: map[string]position{}}
	if c.url != "" {
		if u, err := url.Parse(c.url); err != nil || u.Scheme == "" || u.Host == "" {
			return nil, hint(fmt.Errorf("%q is no address", c.url), "write --url http://127.0.0.1:15014")
		}
		s.instances = func(context.Context) (map[string]*http.Client, error) {
			return map[string]*http.Client{c.url: http.DefaultClient}, nil
		}
		s.base = func(string) string { return strings.TrimSuffix(c.url, "/") }
		return s, nil
	}
	config, client, err := connect(c.kubeconfig)
	if err != nil {
		return nil, hint(err, "name one with --kubeconfig")
	}
	s.instances = (&telemetryInstances{config: config, client: client}).list
	s.base = func(string) string { return "http://istio-telemetry" } // the client connects to one pod whatever the host
	return s, nil
}

// next returns what the query selects of what was not read yet, in the order of time.
func (s *logSource) next(ctx context.Context, q accesslog.Query) ([]accesslog.Entry, error) {
	instances, err := s.instances(ctx)
	if err != nil {
		return nil, err
	}
	var entries []accesslog.Entry
	var failures []error
	for name, client := range instances {
		last := s.positions[name]
		q.After = last.cursor
		a, err := s.ask(ctx, client, name, q)
		if err == nil && last.instance != "" && a.Instance != last.instance { // it has started anew
			q.After = 0
			a, err = s.ask(ctx, client, name, q)
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if a.Lost {
			fmt.Fprintln(s.warnings, "meshctl: warning: some entries are missing: istio-telemetry had dropped them before they were read")
		}
		s.positions[name] = position{a.Instance, a.Cursor}
		entries = append(entries, a.Entries...)
	}
	if len(failures) > 0 && len(failures) == len(instances) {
		return nil, hint(errors.New(printable(failures[0].Error())), "the right to create pods/portforward in namespace %s is needed; or forward port %d of istio-telemetry yourself and name it with --url", owner.MeshNamespace, telemetryDebug)
	}
	for _, err := range failures {
		fmt.Fprintf(s.warnings, "meshctl: warning: %s\n", printable(err.Error()))
	}
	slices.SortStableFunc(entries, func(a, b accesslog.Entry) int { return a.Time.Compare(b.Time) })
	if q.Limit > 0 && len(entries) > q.Limit {
		entries = entries[len(entries)-q.Limit:]
	}
	return entries, nil
}

func (s *logSource) ask(ctx context.Context, client *http.Client, name string, q accesslog.Query) (a accesslog.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base(name)+"/debug/logs?"+q.Values().Encode(), nil)
	if err != nil {
		return a, fmt.Errorf("read logs of %s: %w", name, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return a, fmt.Errorf("read logs of %s: %w", name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return a, fmt.Errorf("read logs of %s: status %d: %s", name, response.StatusCode, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxLogAnswer)).Decode(&a); err != nil {
		return a, fmt.Errorf("read logs of %s: %w", name, err)
	}
	return a, nil
}

// telemetryInstances finds the pods of istio-telemetry.
type telemetryInstances struct {
	config *rest.Config
	client kubernetes.Interface
	known  map[string]*http.Client // by pod
}

// list returns a client for each running pod; a pod that was listed before keeps its client and its connection.
func (t *telemetryInstances) list(ctx context.Context) (map[string]*http.Client, error) {
	pods, err := t.client.CoreV1().Pods(owner.MeshNamespace).List(ctx, metav1.ListOptions{LabelSelector: telemetryPods})
	if err != nil {
		return nil, fmt.Errorf("list pods of istio-telemetry: %w", err)
	}
	now := map[string]*http.Client{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		if now[pod.Name] = t.known[pod.Name]; now[pod.Name] == nil {
			if now[pod.Name], err = t.clientOf(forwardTarget{pod.Namespace, pod.Name, telemetryDebug}); err != nil {
				return nil, fmt.Errorf("forward a port: %w", err)
			}
		}
	}
	if t.known = now; len(now) == 0 {
		return nil, hint(errNoTelemetry, "is there a mesh in namespace %s, and spec.components.telemetry.enabled of its Installation not false?", owner.MeshNamespace)
	}
	return now, nil
}

// clientOf is a client whose connections all lead to the pod.
func (t *telemetryInstances) clientOf(target forwardTarget) (*http.Client, error) {
	dialer, err := forwardDialer(t.config, t.client, target)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return dialForwarded(dialer, target)
	}}}, nil
}
