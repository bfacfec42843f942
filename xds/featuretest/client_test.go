package featuretest

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// acceptTimeout is how long a message may take before a test gives up. It is never waited for when all is well.
const acceptTimeout = 20 * time.Second

// client is one delta stream of a proxy.
type client struct {
	t         *testing.T
	node      string
	stream    discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	responses chan *discovery.DeltaDiscoveryResponse
	failed    chan error
	close     func()
}

// sidecar is the node id of the first pod of a workload.
func sidecar(namespace, name, ip string) string {
	return fmt.Sprintf("sidecar~%s~%s-1.%s~%s.svc.cluster.local", ip, name, namespace, namespace)
}

func identity(namespace, account string) string {
	return "spiffe://cluster.local/ns/" + namespace + "/sa/" + account
}

// connect opens a stream on the plaintext listener.
func (p *pilot) connect(node string) *client {
	p.t.Helper()
	return p.open(p.insecure, insecure.NewCredentials(), node)
}

// connectAs opens a stream with a certificate.
func (p *pilot) connectAs(node string, identities ...string) *client {
	p.t.Helper()
	certificate := p.ca.issue(p.t, identities...)
	return p.open(p.address, p.credentials(certificate), node)
}

func (p *pilot) credentials(certificates ...tls.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.ca.pool(), Certificates: certificates})
}

func (p *pilot) dial(address string, c credentials.TransportCredentials) *grpc.ClientConn {
	p.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(c), grpc.WithNoProxy())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (p *pilot) open(address string, creds credentials.TransportCredentials, node string) *client {
	p.t.Helper()
	c := p.openWithoutReading(address, creds, node)
	if c.stream != nil {
		go c.receive()
	}
	return c
}

// connectWithoutReading is connect for a client that never takes a response from its connection.
func (p *pilot) connectWithoutReading(node string) *client {
	p.t.Helper()
	return p.openWithoutReading(p.insecure, insecure.NewCredentials(), node)
}

func (p *pilot) openWithoutReading(address string, creds credentials.TransportCredentials, node string) *client {
	p.t.Helper()
	conn := p.dial(address, creds)
	ctx, cancel := context.WithCancel(p.t.Context())
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	c := &client{
		t: p.t, node: node, stream: stream, responses: make(chan *discovery.DeltaDiscoveryResponse, 100), failed: make(chan error, 1),
		close: cancel,
	}
	if err != nil {
		c.stream = nil
		c.failed <- err
	}
	return c
}

func (c *client) receive() {
	for {
		r, err := c.stream.Recv()
		if err != nil {
			c.failed <- err
			return
		}
		c.responses <- r
	}
}

func (c *client) send(r *discovery.DeltaDiscoveryRequest) {
	r.Node = &corev3.Node{Id: c.node}
	if c.stream != nil {
		_ = c.stream.Send(r) // the reason of a failure comes from Recv
	}
}

// subscribe asks for names of a type.
func (c *client) subscribe(t resource.Type, names ...string) {
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names})
}

// resume asks for names of a type, with what was kept of an earlier stream.
func (c *client) resume(t resource.Type, kept map[string]string, names ...string) {
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names, InitialResourceVersions: kept})
}

func (c *client) ack(r *discovery.DeltaDiscoveryResponse) {
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
}

func (c *client) nack(r *discovery.DeltaDiscoveryResponse, message string) {
	c.send(&discovery.DeltaDiscoveryRequest{
		TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: &rpcstatus.Status{Code: int32(codes.InvalidArgument), Message: message},
	})
}

// next waits for the next response, which must be of this type.
func (c *client) next(t resource.Type) *discovery.DeltaDiscoveryResponse {
	c.t.Helper()
	select {
	case r := <-c.responses:
		if r.GetTypeUrl() != string(t) {
			c.t.Fatalf("next response is %s, want %s", brief(r), t.Short())
		}
		return r
	case err := <-c.failed:
		c.t.Fatalf("stream ended before %s: %v", t.Short(), err)
	case <-time.After(acceptTimeout):
		c.t.Fatalf("no %s", t.Short())
	}
	return nil
}

// accept is next, acknowledged.
func (c *client) accept(t resource.Type) *discovery.DeltaDiscoveryResponse {
	c.t.Helper()
	r := c.next(t)
	c.ack(r)
	return r
}

// refused waits for the end of the stream and returns its status.
func (c *client) refused() *status.Status {
	c.t.Helper()
	select {
	case r := <-c.responses:
		c.t.Fatalf("got %s, want a refusal", brief(r))
	case err := <-c.failed:
		return status.Convert(err)
	case <-time.After(acceptTimeout):
		c.t.Fatal("neither answered nor refused")
	}
	return nil
}

// everything asks for all that a sidecar asks for and returns the versions it got, by type and name.
func (c *client) everything() map[resource.Type]map[string]string {
	c.t.Helper()
	got := map[resource.Type]map[string]string{}
	c.subscribe(resource.Cluster)
	got[resource.Cluster] = versions(c.accept(resource.Cluster))
	c.subscribe(resource.Endpoint, outbound(got[resource.Cluster])...)
	got[resource.Endpoint] = versions(c.accept(resource.Endpoint))
	c.subscribe(resource.Listener)
	got[resource.Listener] = versions(c.accept(resource.Listener))
	return got
}

func outbound(clusters map[string]string) []string {
	var names []string
	for name := range clusters {
		if strings.HasPrefix(name, "outbound|") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func versions(r *discovery.DeltaDiscoveryResponse) map[string]string {
	out := map[string]string{}
	for _, res := range r.GetResources() {
		out[res.GetName()] = res.GetVersion()
	}
	return out
}

// brief tells a response in a line: what came and what went.
func brief(r *discovery.DeltaDiscoveryResponse) string {
	words := []string{resource.Type(r.GetTypeUrl()).Short()}
	for _, res := range r.GetResources() {
		words = append(words, "+"+res.GetName())
	}
	for _, name := range r.GetRemovedResources() {
		words = append(words, "-"+name)
	}
	return strings.Join(words, " ")
}
