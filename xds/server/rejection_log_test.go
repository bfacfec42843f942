package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// rejecting subscribes on a stream to routes and rejects each response, so many times.
func (w *watched) rejecting(t *testing.T, c *connection, times int, message string, names ...string) {
	t.Helper()
	take := func(r *discovery.DeltaDiscoveryRequest) {
		r.TypeUrl = string(resource.Route)
		if err := w.take(c, r, w.Server.log.With("proxy", c.proxy.Name)); err != nil {
			t.Fatal(err)
		}
	}
	for range times {
		take(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: names})
		for r, _ := c.next(); r != nil; r, _ = c.next() {
			take(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce(), ErrorDetail: &rpcstatus.Status{Message: message}})
		}
	}
}

// routed is a stream of a proxy that has routes.
func routed(proxy mesh.Proxy, version string, names ...string) *connection {
	c := newConnection(proxy)
	c.setUpdate(1, resourcesOf(version, names, resource.Route), unknownChange)
	return c
}

// TestRejectionIsLoggedOnce however often a proxy asks again for what it rejects, and however large its reason is.
func TestRejectionIsLoggedOnce(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	w.log.Reset()
	long := strings.Repeat("x", 1<<20)
	c := routed(w.x.proxy, "1", "80")
	w.rejecting(t, c, 100, long, "80")
	if n := strings.Count(w.log.String(), "proxy rejected a resource"); n != 1 || w.log.Len() > 2*maxLoggedLength {
		t.Errorf("logged %d times, in %d bytes", n, w.log.Len())
	}
	c.setUpdate(2, resourcesOf("2", []string{"80"}, resource.Route), Compare)
	w.rejecting(t, c, 1, "another reason", "80")
	if n := strings.Count(w.log.String(), "proxy rejected a resource"); n != 2 || !strings.Contains(w.log.String(), "another reason") {
		t.Errorf("after another version logged %d times, want 2", n)
	}
	w.log.Reset()
	many := []string{"90", "91", "92", "93", "94", "95", "96", "97"}
	w.rejecting(t, routed(w.y.proxy, "1", many...), 1, long, many...)
	if searches := strings.Count(w.log.String(), "looking for the culprit"); searches != 1 {
		t.Errorf("a search is logged %d times:\n%s", searches, &w.log)
	}
	if n := strings.Count(w.log.String(), "proxy rejected a resource"); n != len(many) {
		t.Errorf("%d of %d culprits are logged", n, len(many))
	}
}

// TestLoggedRejectionsAreLimited or a few, and so are the objects of a resource that holds the rules of many.
func TestLoggedRejectionsAreLimited(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	w.log.Reset()
	names := manyNames("x", 500)
	r := &Rejection{Type: resource.Cluster, Message: strings.Join(names, " ")}
	objects := make([]resource.Object, 1000)
	for i := range objects {
		objects[i] = resource.Object(fmt.Sprintf("VirtualService/a/%d", i))
	}
	for _, name := range names {
		r.Blamed = append(r.Blamed, &resource.Resource{Type: resource.Cluster, Name: name, Version: "1", Sources: objects})
	}
	w.logRejection(w.x, r, w.Server.log)
	lines := strings.Count(w.log.String(), "\n")
	if lines != maxNamed+1 || w.log.Len() > maxLoggedLength+maxNamed*2048 {
		t.Errorf("%d lines of %d bytes together", lines, w.log.Len())
	}
	for _, words := range []string{"VirtualService/a/0 ", "and 980 more", "count=480"} {
		if !strings.Contains(w.log.String(), words) {
			t.Errorf("the log does not say %q", words)
		}
	}
}

// TestLogRateLimitPerPod: reasons to reject that are always new, streams that are always new, and streams that are refused
// leave room for the lines of other pods.
func TestLogRateLimitPerPod(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	w.log.Reset()
	for i := range 100 {
		w.rejecting(t, routed(w.x.proxy, fmt.Sprint(i), "80"), 1, fmt.Sprint("reason ", i), "80")
	}
	for range 100 {
		w.refuseProxy(w.x, status.Error(codes.ResourceExhausted, "too much"))
	}
	if n := strings.Count(w.log.String(), "\n"); n != logBurst {
		t.Errorf("one pod has %d lines, want %d", n, logBurst)
	}
	w.rejecting(t, routed(w.y.proxy, "1", "81"), 1, "no", "81")
	if !strings.Contains(w.log.String(), "resource=81") {
		t.Error("what another pod rejects is not logged")
	}
}

// addressed is the stream of an untrusted client from an address.
type addressed struct {
	grpc.ServerStream
	host string
}

func (a addressed) Context() context.Context {
	return peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(a.host), Port: 1}})
}

// TestLogRateLimitPerAddress is about unauthenticated clients.
func TestLogRateLimitPerAddress(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	w.log.Reset()
	refuse := w.authenticate(byCertificate)
	hosts := append(slices.Repeat([]string{"10.0.0.1"}, 100), "10.0.0.2")
	for _, host := range hosts {
		err := refuse(nil, addressed{host: host}, &grpc.StreamServerInfo{FullMethod: "method of " + host}, nil)
		if status.Code(err) != codes.Unauthenticated {
			t.Fatal(err)
		}
	}
	if n := strings.Count(w.log.String(), "method of 10.0.0.1"); n != logBurst {
		t.Errorf("one address has %d lines, want %d", n, logBurst)
	}
	if !strings.Contains(w.log.String(), "method of 10.0.0.2") {
		t.Error("that another address is refused is not logged")
	}
}
