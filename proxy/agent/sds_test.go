package agent

import (
	"bytes"
	"context"
	"io"
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
	firstSecrets = secretsOf([]byte("chain 1"), []byte("key 1"), []byte("roots 1"))
	renewed      = secretsOf([]byte("chain 2"), []byte("key 2"), []byte("roots 1"))
)

func TestSDSSession(t *testing.T) {
	var s sdsSession
	first := s.request(discoveryRequest{names: []string{"default"}}, firstSecrets.get)
	if first == nil || len(first.resources) != 1 || first.version != firstSecrets["default"].version {
		t.Fatalf("first response is %v", first)
	}
	ack := discoveryRequest{names: []string{"default"}, nonce: first.nonce}
	if got := s.request(ack, firstSecrets.get); got != nil {
		t.Errorf("the response to an ACK is %v", got)
	}
	if got := s.push(firstSecrets.get); got != nil {
		t.Errorf("unchanged secrets are pushed: %v", got)
	}
	second := s.push(renewed.get)
	if second == nil || second.version == first.version || second.nonce == first.nonce {
		t.Fatalf("a renewal pushes %v", second)
	}
	if got := s.request(ack, renewed.get); got != nil {
		t.Errorf("the response to an old nonce is %v", got)
	}
	nack := discoveryRequest{names: []string{"default"}, nonce: second.nonce, rejection: "bad key"}
	if got := s.request(nack, renewed.get); got != nil {
		t.Errorf("the response to a NACK is %v", got)
	}
	both := discoveryRequest{names: []string{"default", "ROOTCA", "other"}, nonce: second.nonce}
	if got := s.request(both, renewed.get); got == nil || len(got.resources) != 2 {
		t.Errorf("the response to two more names, one of them unknown, is %v", got)
	}
	if s.push(firstSecrets.get) == nil {
		t.Error("an earlier certificate is not pushed")
	}
}

// sdsStream opens a stream of Envoy's own types on an SDS socket.
func sdsStream(t *testing.T, log io.Writer) secretv3.SecretDiscoveryService_StreamSecretsClient {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(log, nil))
	client := certclient.New(certclient.Options{Logger: logger})
	sds := secretv3.NewSecretDiscoveryServiceClient(socketClient(t, newSDSServer(client, nil, logger)))
	if _, err := sds.FetchSecrets(t.Context(), &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}}); status.Code(err) != codes.Unimplemented {
		t.Errorf("FetchSecrets: %v", err)
	}
	stream, err := sds.StreamSecrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestSDSRejectionIsLogged: an Envoy that does not accept a certificate says why in its next request.
func TestSDSRejectionIsLogged(t *testing.T) {
	var log buffer
	stream := sdsStream(t, &log)
	for _, nonce := range []string{"", "0", "7"} { // the last one belongs to no response
		if err := stream.Send(&discoveryv3.DiscoveryRequest{ResponseNonce: nonce, ErrorDetail: &statusv3.Status{Code: 13, Message: "bad key " + nonce}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a rejection in the log", func() bool { return strings.Contains(log.String(), `error="bad key 0"`) })
	if strings.Contains(log.String(), "bad key 7") {
		t.Errorf("a rejection of another response is logged:\n%s", log.String())
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

// TestSDSServesSecretsOnly: the server rejects other types and messages that do not parse, and has no method for polling.
func TestSDSServesSecretsOnly(t *testing.T) {
	stream := sdsStream(t, io.Discard)
	if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: clusterType}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("clusters on the SDS socket: %v", err)
	}
}

// TestXDSSocketHasOneMethod: the socket serves the incremental protocol only.
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

// TestLogsHoldNoKey: the logs and the configuration dump contain no key and no token.
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
