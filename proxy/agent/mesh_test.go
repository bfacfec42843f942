package agent

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// secretFrom refers to a secret on the SDS socket in one of the two protocols.
func secretFrom(name string, api corev3.ApiConfigSource_ApiType) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3, InitialFetchTimeout: durationpb.New(0),
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: api, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: sdsCluster},
			}}},
		}},
	}}
}

// strictListener answers "hello" to clients with a certificate of the mesh.
func strictListener(port uint32) *listenerv3.Listener {
	manager := testManager("inbound_127.0.0.1_1", "/unused", agentCluster)
	route := &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: 200, Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "hello"}},
		}},
	}
	manager.GetRouteConfig().VirtualHosts[0].Routes = []*routev3.Route{route}
	manager.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: manager.GetRouteConfig()}
	return &listenerv3.Listener{
		Name: "strict", Address: envoytest.Loopback(port), TrafficDirection: corev3.TrafficDirection_INBOUND,
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(manager)},
			}},
			TransportSocket: &corev3.TransportSocket{
				Name: "envoy.transport_sockets.tls",
				ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.DownstreamTlsContext{
					RequireClientCertificate: wrapperspb.Bool(true),
					CommonTlsContext: &tlsv3.CommonTlsContext{
						TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secretFrom("default", corev3.ApiConfigSource_GRPC)},
						ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
							ValidationContextSdsSecretConfig: secretFrom("ROOTCA", corev3.ApiConfigSource_GRPC),
						},
					},
				})},
			},
		}},
	}
}

// someCluster has a name whose dots would break a label.
func someCluster(port uint32) *clusterv3.Cluster {
	return testCluster("outbound|9080||ratings.default.svc.cluster.local", port)
}

func configuration(version string, clusters []*clusterv3.Cluster, listeners []*listenerv3.Listener) map[string][]*discoveryv3.Resource {
	out := map[string][]*discoveryv3.Resource{}
	for _, c := range clusters {
		out[clusterType] = append(out[clusterType], &discoveryv3.Resource{Name: c.Name, Version: version, Resource: typed(c)})
	}
	for _, l := range listeners {
		out[listenerType] = append(out[listenerType], &discoveryv3.Resource{Name: l.Name, Version: version, Resource: typed(l)})
	}
	return out
}

// TestPodBecomesReadyOnlyWithConfiguration also shows the identity that pilot sees, the answer to an unauthenticated client, and the end of the proxy.
func TestPodBecomesReadyOnlyWithConfiguration(t *testing.T) {
	p := startPod(t, time.Hour, func(c *Config) {
		c.DrainDuration = 2 * time.Second // long enough to be seen
		c.Statistics = telemetry.Statistics{
			Prefixes: []string{"cluster.outbound|9080||ratings.default.svc.cluster.local.membership"}, Suffixes: []string{".downstream_rq_2xx"},
		}
	})
	p.waitUnready("no clusters from pilot yet")
	if code, _ := p.get(p.config.Ports.Health, "/healthz/ready"); code == 200 {
		t.Error("ready before there is configuration")
	}
	port := envoytest.FreePort(t)
	clusters := []*clusterv3.Cluster{someCluster(p.config.Ports.Agent)}
	p.pilot.publish(configuration("1", clusters, nil))
	p.waitUnready("no listeners from pilot yet")
	p.pilot.publish(configuration("1", clusters, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	if got := p.pilot.callers[0]; got != testIdentity {
		t.Errorf("pilot sees %s", got)
	}
	for _, socket := range []string{p.config.XDSSocket(), p.config.SDSSocket()} {
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("socket %s: %v %v", socket, info.Mode(), err)
		}
	}
	checkUntrustedClients(t, p, port)
	checkOpenPorts(t, p)
	checkNames(t, p)
	checkDrain(t, p)
}

// checkUntrustedClients: only a certificate of the mesh gets an answer.
func checkUntrustedClients(t *testing.T, p *pod, port uint32) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	friend := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}
	if got := ask(address, friend); got != "hello" {
		t.Errorf("a peer of the mesh gets %q", got)
	}
	other := newFakeCA(t, time.Hour)
	for who, config := range map[string]*tls.Config{
		"plaintext":            nil,
		"no certificate":       {InsecureSkipVerify: true},
		"another mesh's":       {InsecureSkipVerify: true, Certificates: []tls.Certificate{other.peer()}},
		"no certificate, 1.2":  {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		"certificate, TLS 1.1": {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, Certificates: friend.Certificates},
	} {
		if got := ask(address, config); got != "" {
			t.Errorf("%s gets %q", who, got)
		}
	}
}

// ask returns the body of one request, "" when there is no answer.
func ask(address string, config *tls.Config) string {
	conn, err := connect(address, config)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ask()
}

type connection struct {
	net.Conn
	in *bufio.Reader
}

func connect(address string, config *tls.Config) (*connection, error) {
	plain, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	_ = plain.SetDeadline(time.Now().Add(time.Minute)) // some are used over renewals
	if config == nil {
		return &connection{plain, bufio.NewReader(plain)}, nil
	}
	conn := tls.Client(plain, config)
	if err := conn.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (c *connection) ask() string {
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n")
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func (c *connection) server() *x509.Certificate {
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// checkOpenPorts: of the ports that everybody reaches, exactly the listed paths answer.
func checkOpenPorts(t *testing.T, p *pod) {
	t.Helper()
	ports := p.config.Ports
	open := map[uint32][]string{
		ports.Metrics: {"/stats/prometheus"}, ports.Health: {"/healthz/ready"}, ports.Agent: {"/stats/prometheus", "/healthz/ready"},
	}
	paths := []string{
		"/", "/stats/prometheus", "/healthz/ready", "/stats", "/config_dump", "/certs", "/quitquitquit", "/drain", "/ready", "/metrics", "/debug/pprof/",
		"/stats/prometheus/../../config_dump", "/stats/prometheus/..%2f..%2fconfig_dump", "/healthz/ready/../../config_dump", "//config_dump",
		"/stats/prometheus%00", "/stats/prometheus/", "/app-health/reviews/readyz",
	}
	for port, want := range open {
		for _, path := range paths {
			code, body := p.get(port, path)
			if listed := slices.Contains(want, path); (code == 200) != listed {
				t.Errorf("GET :%d%s answers %d", port, path, code)
			}
			if strings.Contains(body, "bootstrap") || strings.Contains(body, "serial_number") {
				t.Errorf("GET :%d%s leaks the admin interface", port, path)
			}
		}
		for _, path := range want {
			if code, _ := p.do(http.MethodPost, port, path); code == 200 {
				t.Errorf("POST :%d%s answers 200", port, path)
			}
		}
	}
}

// checkNames: the page has the selected statistics and those that the pod asks for, and the label of a cluster is its whole name.
func checkNames(t *testing.T, p *pod) {
	t.Helper()
	_, page := p.get(p.config.Ports.Agent, "/stats/prometheus")
	for _, want := range []string{
		`envoy_cluster_membership_total{cluster_name="outbound|9080||ratings.default.svc.cluster.local"} 1`,
		`envoy_cluster_upstream_cx_total{cluster_name="xds-grpc"}`,
		`envoy_http_downstream_rq_xx{response_code_class="2",http_conn_manager_prefix="inbound_127.0.0.1_1"} 1`,
		`envoy_server_live{} 1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	for _, unwanted := range []string{`max_host_weight{cluster_name="outbound`, "envoy_listener_ssl_", "envoy_http_downstream_flow_control"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("%s is in the metrics, which nobody selected", unwanted)
		}
	}
}

// checkDrain: asked to stop, the pod is unready at once, serves on for the drain duration, and ends without an error.
func checkDrain(t *testing.T, p *pod) {
	t.Helper()
	started := time.Now()
	p.stop()
	p.waitUnready("draining")
	if err := <-p.ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
	if took := time.Since(started); took < p.config.DrainDuration {
		t.Errorf("ended after %s", took)
	}
	if code, _ := p.get(p.config.Ports.Admin, "/ready"); code != 0 {
		t.Error("envoy outlives its agent")
	}
}

// TestRenewalKeepsConnections: new connections get the new certificate, an open one goes on with the old.
func TestRenewalKeepsConnections(t *testing.T) {
	p := startPod(t, 6*time.Second)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	peer := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{newPeerFor(p, time.Hour)}}
	old, err := connect(address, peer)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	serial := old.server().SerialNumber
	for renewals := 0; renewals < 2; renewals++ {
		eventually(t, "a new certificate in use", func() bool {
			if got := old.ask(); got != "hello" {
				t.Fatalf("the open connection answers %q after %d renewals", got, renewals)
			}
			fresh, err := connect(address, peer)
			if err != nil {
				t.Fatalf("a new connection fails: %v", err)
			}
			defer fresh.Close()
			if got := fresh.ask(); got != "hello" {
				t.Fatalf("a new connection answers %q", got)
			}
			changed := fresh.server().SerialNumber.Cmp(serial) != 0
			serial = fresh.server().SerialNumber
			return changed
		})
	}
}

// newPeerFor is a client that outlives the renewals.
func newPeerFor(p *pod, ttl time.Duration) tls.Certificate {
	lasting := *p.ca
	lasting.ttl = ttl
	return lasting.peer()
}

// TestPilotReconnect: the proxy keeps serving and stays ready; when pilot is back, Envoy sends the versions that it has.
func TestPilotReconnect(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	p.pilot.disconnect()
	eventually(t, "a second stream", func() bool { return len(p.pilot.requests(listenerType)) == 2 })
	if got := p.pilot.requests(listenerType)[1].InitialResourceVersions; got["strict"] != "1" {
		t.Errorf("envoy comes back with listeners %v", got)
	}
	if code, body := p.get(p.config.Ports.Health, "/healthz/ready"); code != 200 {
		t.Errorf("unready while pilot was away: %s", body)
	}
	if got := ask(fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}); got != "hello" {
		t.Errorf("while pilot was away the answer is %q", got)
	}
}

// TestRejectedConfiguration: the last good one stays, the agent says why in Envoy's words.
func TestRejectedConfiguration(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	bad := strictListener(port)
	bad.FilterChains[0].Filters[0].Name = "no.such.filter"
	bad.FilterChains[0].Filters[0].ConfigType = nil
	clusters := []*clusterv3.Cluster{someCluster(port)}
	p.pilot.publish(configuration("1", clusters, []*listenerv3.Listener{bad}))
	p.waitUnready("envoy rejected its first listeners")
	if !strings.Contains(p.log.String(), "envoy rejected configuration") || !strings.Contains(p.log.String(), "no.such.filter") {
		t.Error("the agent does not say what envoy rejected")
	}
	p.pilot.publish(configuration("2", clusters, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	bad.Name = "strict"
	p.pilot.publish(configuration("3", clusters, []*listenerv3.Listener{bad}))
	eventually(t, "second rejection", func() bool { return strings.Contains(p.log.String(), "rejections=2") })
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}
	eventually(t, "after a rejection the last good listener answers", func() bool { return ask(fmt.Sprintf("127.0.0.1:%d", port), client) == "hello" })
}

// TestEnvoyExit: the kubelet is to restart both.
func TestEnvoyExit(t *testing.T) {
	p := startPod(t, time.Hour)
	p.waitUnready("no clusters from pilot yet")
	p.do(http.MethodPost, p.config.Ports.Admin, "/quitquitquit")
	if err := <-p.ended; err == nil || !strings.Contains(err.Error(), "envoy ended") {
		t.Errorf("Run returns %v", err)
	}
}

// TestPreStopHookDrains: the preStop hook returns when the pod has drained, requests in flight included; the stop after it is quick.
func TestPreStopHookDrains(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	started := time.Now()
	if err := Drain(t.Context(), p.config.Ports.Drain); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took < p.config.DrainDuration {
		t.Errorf("the hook returns after %s", took)
	}
	p.waitUnready("draining")
	if got := ask(fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.ca.peer()}}); got != "hello" {
		t.Errorf("a late request gets %q", got)
	}
	if code, _ := p.do(http.MethodPost, p.config.Ports.Drain, "/quitquitquit"); code != 200 {
		t.Errorf("quitquitquit answers %d", code)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
}

// TestPilotWithUntrustedCertificate: the agent sends nothing to a server whose certificate the bundle does not verify.
func TestPilotWithUntrustedCertificate(t *testing.T) {
	impostor := newFakePilot(t, newFakeCA(t, time.Hour))
	p := startPod(t, time.Hour, func(c *Config) { c.PilotAddress = impostor.address })
	eventually(t, "a refused connection", func() bool { return strings.Contains(p.log.String(), "no connection to pilot") })
	if n := len(impostor.requests(clusterType)); n != 0 {
		t.Errorf("the impostor was asked %d times", n)
	}
}
