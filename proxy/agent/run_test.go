package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// pod is an agent with a real Envoy on loopback ports, a CA and a pilot: everything of a pod but the redirect.
type pod struct {
	t      *testing.T
	ca     *fakeCA
	pilot  *fakePilot
	config Config
	log    buffer
	envoy  buffer
	stop   context.CancelFunc
	ended  chan error
}

func startPod(t *testing.T, ttl time.Duration, changes ...func(*Config)) *pod {
	t.Helper()
	p := &pod{t: t, ca: newFakeCA(t, ttl), ended: make(chan error, 1)}
	p.ca.start()
	p.pilot = newFakePilot(t, p.ca)
	dir, err := os.MkdirTemp("", "agent") // short: socket paths have a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.config = Config{
		Role: Sidecar, PodName: "reviews-v1-abc", Namespace: "bookinfo", ServiceAccount: "bookinfo-reviews", Workload: "reviews-v1",
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, PilotAddress: p.pilot.address, PilotServerName: "127.0.0.1",
		Concurrency: 1, LogLevel: "warning", DrainDuration: 300 * time.Millisecond, Dir: dir, EnvoyPath: envoytest.Binary(t), Ports: freePorts(t),
	}
	for _, change := range changes {
		change(&p.config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	logger := slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	certificates := p.ca.clientOptions(dir)
	certificates.Logger = logger
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		p.ended <- Run(ctx, Options{Config: p.config, Certificates: certificates, Output: &p.envoy, Logger: logger})
	}()
	t.Cleanup(func() {
		cancel()
		<-finished
		if t.Failed() {
			t.Logf("agent:\n%s\nenvoy:\n%s", p.log.String(), p.envoy.String())
		}
	})
	return p
}

func freePorts(t *testing.T) Ports {
	return Ports{
		Admin: envoytest.FreePort(t), Drain: envoytest.FreePort(t), Agent: envoytest.FreePort(t),
		Health: envoytest.FreePort(t), Metrics: envoytest.FreePort(t), Inbound: envoytest.FreePort(t),
	}
}

// get returns the status and body of GET on a loopback port; status 0: no answer.
func (p *pod) get(port uint32, path string) (int, string) { return p.do(http.MethodGet, port, path) }

func (p *pod) do(method string, port uint32, path string) (int, string) {
	request, _ := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d", port), nil)
	request.URL.Opaque = path // as it is: no client cleans it
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func (p *pod) waitReady() {
	p.t.Helper()
	eventually(p.t, "ready through envoy", func() bool { code, _ := p.get(p.config.Ports.Health, "/healthz/ready"); return code == 200 })
}

func (p *pod) waitUnready(reason string) {
	p.t.Helper()
	var code int
	var body string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the last answer was %d %s", code, body)
		}
	}()
	eventually(p.t, "unready: "+reason, func() bool {
		code, body = p.get(p.config.Ports.Agent, "/healthz/ready")
		return code == 503 && strings.Contains(body, reason)
	})
}

// buffer is written by one goroutine and read by another.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
