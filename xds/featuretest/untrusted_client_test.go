package featuretest

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/server"
)

// TestEveryMethodAuthenticates calls whatever is registered, so that a method that is added later is covered too.
func TestEveryMethodAuthenticates(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"))
	other := newAuthority(t)
	clients := map[string]credentials.TransportCredentials{
		"Plaintext":         insecure.NewCredentials(),
		"NoCertificate":     p.credentials(),
		"OtherAuthority":    p.credentials(other.issue(t, identity("bookinfo", "reviews"))),
		"NoIdentity":        p.credentials(p.ca.issue(t)),
		"TwoIdentities":     p.credentials(p.ca.issue(t, identity("bookinfo", "reviews"), identity("bookinfo", "ratings"))),
		"NotOfTheMesh":      p.credentials(p.ca.issue(t, "https://bookinfo/reviews")),
		"NotAServiceAcount": p.credentials(p.ca.issue(t, "spiffe://cluster.local/node/one")),
	}
	methods := registered(p.secure)
	if len(methods) == 0 {
		t.Fatal("no methods")
	}
	for name, client := range clients {
		for _, method := range methods {
			t.Run(name+method, func(t *testing.T) {
				if err := call(t.Context(), p.dial(p.address, client), method); !refusal(err) {
					t.Errorf("answer is %v, want a refusal", err)
				}
			})
		}
	}
}

func registered(g *grpc.Server) []string {
	var out []string
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			out = append(out, "/"+service+"/"+m.Name)
		}
	}
	return out
}

func call(ctx context.Context, conn *grpc.ClientConn, method string) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&discovery.DeltaDiscoveryRequest{}) // the reason of a failure comes from RecvMsg
	return stream.RecvMsg(&discovery.DeltaDiscoveryResponse{})
}

// refusal is true if the transport or the server refused a client before a method read its request.
func refusal(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated:
		return true
	case codes.Unavailable:
		text := err.Error()
		return strings.Contains(text, "tls") || strings.Contains(text, "handshake") || strings.Contains(text, "reset") ||
			strings.Contains(text, "EOF") || strings.Contains(text, "broken pipe") || strings.Contains(text, "closed")
	}
	return false
}

func TestOldTLSIsRefused(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"))
	old := credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, RootCAs: p.ca.pool(), // what is refused
		Certificates: []tls.Certificate{p.ca.issue(t, identity("bookinfo", "reviews"))},
	})
	if got := p.open(p.address, old, sidecar("bookinfo", "reviews", "10.244.0.1")).refused(); got.Code() != codes.Unavailable {
		t.Errorf("answer is %v, want Unavailable", got)
	}
}

func TestStateOfTheWorldIsNotServed(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"))
	conn := p.dial(p.address, p.credentials(p.ca.issue(t, identity("bookinfo", "reviews"))))
	err := call(t.Context(), conn, discovery.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName)
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("answer is %v, want Unimplemented", err)
	}
}

func TestPlaintextListenerIsLoopback(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "localhost:0", "192.0.2.1:0", "nonsense"} {
		if l, err := server.ListenLoopback(address); err == nil {
			_ = l.Close()
			t.Errorf("ListenLoopback(%q) listens on %s, want an error", address, l.Addr())
		}
	}
}
