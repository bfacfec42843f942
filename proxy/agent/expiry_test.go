package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestExpiredCertificate: while citadel is away the proxy goes on with what it has. When that expires it fails closed, as
// client and as server, and never falls back to plaintext, although its cluster has a way to servers without a sidecar. When
// citadel is back, so are the requests.
func TestExpiredCertificate(t *testing.T) {
	p := startPod(t, 6*time.Second)
	wire := newTap(t, bank(t, p.ca, p.ca))
	inbound, outbound := envoytest.FreePort(t), envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{meshCluster("reviews", wire.port)},
		[]*listenerv3.Listener{strictListener(inbound), plainListener(outbound, "reviews")}))
	p.waitReady()
	call := func() string {
		code, body := p.get(outbound, "/")
		return fmt.Sprintf("%d %s", code, body)
	}
	if got := call(); got != "200 "+testIdentity {
		t.Fatalf("with a certificate the answer is %q", got)
	}
	server := fmt.Sprintf("127.0.0.1:%d", inbound)
	client := newPeerFor(p, time.Hour)
	p.ca.leave()
	var expired x509.CertificateInvalidError
	eventually(t, "the certificate expires", func() bool {
		return errors.As(verified(server, client, p.ca.pool()), &expired) && expired.Reason == x509.Expired
	})
	for range 20 {
		if got := call(); !strings.HasPrefix(got, "503 ") {
			t.Errorf("with an expired certificate the answer is %q", got)
		}
	}
	if got := ask(server, nil); got != "" {
		t.Errorf("a plaintext client gets %q from a server whose certificate has expired", got)
	}
	before := wire.encrypted.Load()
	if plain := wire.plain.Load(); before < 20 || plain > 0 {
		t.Errorf("%d connections began a handshake, %d something else", before, plain)
	}
	p.ca.start()
	eventually(t, "requests pass again", func() bool { return call() == "200 "+testIdentity })
	// Envoy takes the new certificate for its listeners a moment later or earlier than for its clusters.
	eventually(t, "the server presents a new certificate", func() bool { return verified(server, client, p.ca.pool()) == nil })
	if plain := wire.plain.Load(); plain > 0 {
		t.Errorf("%d connections in plaintext after citadel was back", plain)
	}
}

// verified connects to a server of the mesh and returns what is wrong with its certificate.
func verified(address string, client tls.Certificate, roots *x509.CertPool) error {
	conn, err := connect(address, &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{client},
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots}) // by no DNS name: it has none
			return err
		},
	})
	if err == nil {
		conn.Close()
	}
	return err
}

// meshCluster leads to an endpoint with a sidecar, as pilot writes it: mutual TLS to those, plaintext to the others.
func meshCluster(name string, port uint32) *clusterv3.Cluster {
	const match = "envoy.transport_socket_match"
	mode := func(value string) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{"tlsMode": structpb.NewStringValue(value)}}
	}
	c := testCluster(name, port)
	c.LoadAssignment.Endpoints[0].LbEndpoints[0].Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{match: mode("istio")}}
	c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: mode("istio"), TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secretFrom("default", corev3.ApiConfigSource_GRPC)},
				ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
					ValidationContextSdsSecretConfig: secretFrom("ROOTCA", corev3.ApiConfigSource_GRPC),
				},
			}})},
		}},
		{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.raw_buffer", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&rawv3.RawBuffer{})},
		}},
	}
	return c
}

// tap passes connections on, and counts those that begin with a TLS handshake and those that do not.
type tap struct {
	port             uint32
	encrypted, plain atomic.Int32
}

func newTap(t *testing.T, to uint32) *tap {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { listener.Close() })
	w := &tap{port: uint32(listener.Addr().(*net.TCPAddr).Port)}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go w.pass(from, fmt.Sprintf("127.0.0.1:%d", to))
		}
	}()
	return w
}

func (w *tap) pass(from net.Conn, address string) {
	defer from.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(from, first); err != nil {
		return
	}
	const handshake = 0x16
	if first[0] != handshake {
		w.plain.Add(1)
		return
	}
	w.encrypted.Add(1)
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	if _, err := to.Write(first); err != nil {
		return
	}
	go func() {
		defer from.Close()
		_, _ = io.Copy(from, to)
	}()
	_, _ = io.Copy(to, from)
}
