package agent

import (
	"crypto/tls"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestRestartLimit: five restarts with growing delays, and then none until the first is ten minutes old.
func TestRestartLimit(t *testing.T) {
	var r restarts
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var delays []time.Duration
	for {
		delay, ok := r.next(now)
		if !ok {
			break
		}
		delays = append(delays, delay)
		now = now.Add(time.Minute)
	}
	if diff := cmp.Diff([]time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, delays); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	if _, ok := r.next(now.Add(6 * time.Minute)); !ok {
		t.Error("no restart after the window")
	}
	if _, ok := r.next(now.Add(6 * time.Minute)); ok {
		t.Error("a sixth restart within the window")
	}
}

// TestKilledEnvoyIsStartedAgain: the agent does not leave it to the kubelet, and readiness is that of the new Envoy.
func TestKilledEnvoyIsStartedAgain(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	first := envoyPID(t, p)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another envoy", func() bool { return strings.Count(p.log.String(), "proxy is ready") == 2 })
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}
	if got := ask(fmt.Sprintf("127.0.0.1:%d", port), client); got != "hello" {
		t.Errorf("the new envoy answers %q", got)
	}
	p.stop()
	if err := <-p.ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
	p.ended <- nil
}
