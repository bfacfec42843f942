package agent

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// forwarder sends each connection to a cluster, as it is.
func forwarder(port uint32, cluster string) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name: "forwarder", Address: envoytest.Loopback(port), TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "envoy.filters.network.tcp_proxy",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(&tcpv3.TcpProxy{
				StatPrefix: "forwarder", ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster},
			})},
		}}}},
	}
}

// echo is a server that sends back the lines that it gets.
func echo(t *testing.T) uint32 {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, lines.Text())
				}
			}()
		}
	}()
	return uint32(listener.Addr().(*net.TCPAddr).Port)
}

// TestGatewayDrainWaitsForConnections: an open connection that carries no HTTP keeps a gateway, and not a sidecar, from ending;
// an HTTP connection on which nothing is asked keeps neither.
func TestGatewayDrainWaitsForConnections(t *testing.T) {
	p := startPod(t, time.Hour, func(c *Config) { c.Role = Router })
	forwarded, strict, cluster := envoytest.FreePort(t), envoytest.FreePort(t), testCluster("echo", echo(t))
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{cluster},
		[]*listenerv3.Listener{forwarder(forwarded, cluster.Name), strictListener(strict)}))
	p.waitReady()
	a := newAdmin(p.config.Ports.Admin)
	inFlight := func(role Role) uint64 {
		n, err := a.inFlight(t.Context(), role)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	idle, err := connect(fmt.Sprintf("127.0.0.1:%d", strict), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}})
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if got := idle.ask(); got != "hello" {
		t.Fatalf("the answer is %q", got)
	}
	eventually(t, "quiet with an idle HTTP connection", func() bool { return inFlight(Router) == 0 })
	open, err := connect(fmt.Sprintf("127.0.0.1:%d", forwarded), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	fmt.Fprintln(open, "hello")
	if line, err := open.in.ReadString('\n'); line != "hello\n" {
		t.Fatalf("the echo is %q, %v", line, err)
	}
	if router, sidecar := inFlight(Router), inFlight(Sidecar); router != 1 || sidecar != 0 {
		t.Errorf("with an open connection a gateway is busy with %d, a sidecar with %d", router, sidecar)
	}
	open.Close()
	eventually(t, "quiet when the connection is closed", func() bool { return inFlight(Router) == 0 })
}

// TestDrainOfSidecarWithoutConnections ends without the drain duration; one call, and it takes it.
func TestDrainOfSidecarWithoutConnections(t *testing.T) {
	for _, called := range []bool{false, true} {
		p := startPod(t, time.Hour, func(c *Config) {
			c.DrainDuration = time.Minute
			if called {
				c.DrainDuration = 300 * time.Millisecond
			}
		})
		port := p.config.Ports.Inbound
		p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
		p.waitReady()
		if client := (&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}); called && ask(fmt.Sprintf("127.0.0.1:%d", port), client) != "hello" {
			t.Fatal("the pod cannot be called")
		}
		started := time.Now()
		if err := Drain(t.Context(), p.config.Ports.Drain); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); (took >= p.config.DrainDuration) != called {
			t.Errorf("called: %t, drained in %s", called, took)
		}
	}
}
