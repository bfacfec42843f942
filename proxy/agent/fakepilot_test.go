package agent

import (
	"crypto/tls"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

const (
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
)

// fakePilot serves one set of resources per type over mutual TLS to everybody, once it is published, and again whenever
// it is published anew.
type fakePilot struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	address string
	server  *grpc.Server

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced with every change
	resources map[string][]*discoveryv3.Resource
	callers   []string
	first     []*discoveryv3.DeltaDiscoveryRequest // of each type of each stream
	kick      chan struct{}                        // closed to end the streams
}

func newFakePilot(t *testing.T, ca *fakeCA) *fakePilot {
	t.Helper()
	listener := listen(t)
	p := &fakePilot{address: listener.Addr().String(), changed: make(chan struct{}), kick: make(chan struct{})}
	p.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.server("127.0.0.1")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
	})))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.server, p)
	go p.server.Serve(listener)
	t.Cleanup(p.server.Stop)
	return p
}

func (p *fakePilot) publish(resources map[string][]*discoveryv3.Resource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resources = resources
	close(p.changed)
	p.changed = make(chan struct{})
}

// disconnect ends every stream.
func (p *fakePilot) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.kick)
	p.kick = make(chan struct{})
}

// requests returns the first request of each type of each stream so far.
func (p *fakePilot) requests(typ string) []*discoveryv3.DeltaDiscoveryRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*discoveryv3.DeltaDiscoveryRequest
	for _, r := range p.first {
		if r.TypeUrl == typ {
			out = append(out, r)
		}
	}
	return out
}

func (p *fakePilot) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	caller, _ := peer.FromContext(stream.Context())
	leaf := caller.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0]
	p.mu.Lock()
	p.callers = append(p.callers, leaf.URIs[0].String())
	kick := p.kick
	p.mu.Unlock()
	requests, ended := receive(stream.Context(), stream.Recv)
	sent := map[string]map[string]string{} // type -> name -> version
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		select {
		case err := <-ended:
			return err
		case <-kick:
			return nil
		case r := <-requests:
			if sent[r.TypeUrl] == nil {
				sent[r.TypeUrl] = map[string]string{}
				p.mu.Lock()
				p.first = append(p.first, r)
				p.mu.Unlock()
			}
		case <-changed:
		}
		for typ, versions := range sent {
			if err := p.push(stream, typ, versions); err != nil {
				return err
			}
		}
	}
}

func (p *fakePilot) push(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, typ string, sent map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typ, Nonce: "n"}
	for _, r := range p.resources[typ] {
		if sent[r.Name] != r.Version {
			sent[r.Name] = r.Version
			response.Resources = append(response.Resources, r)
		}
	}
	if len(response.Resources) == 0 {
		return nil
	}
	return stream.Send(response)
}
