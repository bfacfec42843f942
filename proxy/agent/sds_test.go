package agent

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

var (
	firstSecrets  = secretsOf([]byte("chain 1"), []byte("key 1"), []byte("roots 1"))
	renewed       = secretsOf([]byte("chain 2"), []byte("key 2"), []byte("roots 1"))
	refusedByUser = &statusv3.Status{Message: "bad key"}
)

func TestStateSession(t *testing.T) {
	var s stateSession
	first, _ := s.request(&discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}}, firstSecrets.get)
	if first == nil || len(first.Resources) != 1 || first.VersionInfo != firstSecrets["default"].version {
		t.Fatalf("first answer is %v", first)
	}
	ack := &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}, ResponseNonce: first.Nonce, VersionInfo: first.VersionInfo}
	if got, _ := s.request(ack, firstSecrets.get); got != nil {
		t.Errorf("an ACK is answered by %v", got)
	}
	if got := s.push(firstSecrets.get); got != nil {
		t.Errorf("unchanged secrets are pushed: %v", got)
	}
	second := s.push(renewed.get)
	if second == nil || second.VersionInfo == first.VersionInfo || second.Nonce == first.Nonce {
		t.Fatalf("a renewal pushes %v", second)
	}
	if got, rejected := s.request(ack, renewed.get); got != nil || rejected != "" {
		t.Errorf("a request with an old nonce is answered: %v %q", got, rejected)
	}
	nack := &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}, ResponseNonce: second.Nonce, ErrorDetail: refusedByUser}
	if got, rejected := s.request(nack, renewed.get); got != nil || rejected != "bad key" {
		t.Errorf("a NACK is answered by the same bytes: %v %q", got, rejected)
	}
	both := &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default", "ROOTCA", "other"}, ResponseNonce: second.Nonce}
	if got, _ := s.request(both, renewed.get); got == nil || len(got.Resources) != 2 {
		t.Errorf("two more names, one of them unknown, are answered by %v", got)
	}
	if s.push(firstSecrets.get) == nil {
		t.Error("going back to an earlier certificate is no change")
	}
}

func TestDeltaSession(t *testing.T) {
	var s deltaSession
	first, _ := s.request(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ROOTCA", "default", "other"}}, firstSecrets.get)
	if len(first.GetResources()) != 2 || len(first.GetRemovedResources()) != 1 {
		t.Fatalf("first answer is %v", first)
	}
	if got, rejected := s.request(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: first.Nonce, ErrorDetail: refusedByUser}, firstSecrets.get); got != nil || rejected != "bad key" {
		t.Errorf("a NACK is answered by %v %q", got, rejected)
	}
	second := s.push(renewed.get)
	if len(second.GetResources()) != 1 || second.Resources[0].Name != "default" {
		t.Errorf("a renewed certificate pushes %v", second)
	}
	if got, _ := s.request(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"default"}}, firstSecrets.get); got != nil {
		t.Errorf("what is no longer asked for is sent: %v", got)
	}
	var returning deltaSession
	got, _ := returning.request(&discoveryv3.DeltaDiscoveryRequest{
		ResourceNamesSubscribe:  []string{"default", "ROOTCA"},
		InitialResourceVersions: map[string]string{"default": renewed["default"].version, "ROOTCA": "older"},
	}, renewed.get)
	if len(got.GetResources()) != 1 || got.Resources[0].Name != "ROOTCA" {
		t.Errorf("a client that comes back with the current certificate is sent %v", got)
	}
}

// socketClient connects to a server on a socket, in memory.
func socketClient(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener, err := listenSocket(t.Context(), t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestSDSServesSecretsOnly: other types are refused, polling is not there.
func TestSDSServesSecretsOnly(t *testing.T) {
	client := certclient.New(certclient.Options{Logger: slog.New(slog.DiscardHandler)})
	sds := secretv3.NewSecretDiscoveryServiceClient(socketClient(t, newSDSServer(client, nil, slog.New(slog.DiscardHandler))))
	if _, err := sds.FetchSecrets(t.Context(), &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}}); status.Code(err) != codes.Unimplemented {
		t.Errorf("FetchSecrets: %v", err)
	}
	stream, err := sds.StreamSecrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: clusterType}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("clusters on the SDS socket: %v", err)
	}
}

// TestXDSSocketHasOneMethod: there is no second way to pilot.
func TestXDSSocketHasOneMethod(t *testing.T) {
	server := newXDSServer(&xdsProxy{log: slog.New(slog.DiscardHandler)})
	services := server.GetServiceInfo()
	if len(services) != 1 || len(services[adsService].Methods) != 1 {
		t.Errorf("the socket serves %v", services)
	}
	ads := discoveryv3.NewAggregatedDiscoveryServiceClient(socketClient(t, server))
	stream, err := ads.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("state of the world: %v", err)
	}
}

// TestLogsHoldNoKey: nothing that the agent says contains what it must not.
func TestLogsHoldNoKey(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	logs := []byte(p.log.String() + p.envoy.String())
	for _, secret := range []string{"PRIVATE KEY", testToken} {
		if bytes.Contains(logs, []byte(secret)) {
			t.Errorf("%q is in the log", secret)
		}
	}
	_, dump := p.get(p.config.Ports.Admin, "/config_dump")
	if !strings.Contains(dump, "ROOTCA") {
		t.Error("the configuration dump lacks the secrets altogether")
	}
	if strings.Contains(dump, "PRIVATE KEY") {
		t.Error("a key is in the configuration dump")
	}
}
