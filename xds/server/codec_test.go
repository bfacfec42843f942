package server

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"
	"weak"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// clustersOf is a response of n clusters, as a session makes one for each stream.
func clustersOf(nonce string, bodies []*anypb.Any) *discovery.DeltaDiscoveryResponse {
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: string(resource.Cluster), Nonce: nonce}
	for i, body := range bodies {
		r.Resources = append(r.Resources, &discovery.Resource{Name: fmt.Sprintf("outbound|80||service-%d.default.svc.cluster.local", i), Version: "0123456789abcdef", Resource: body})
	}
	return r
}

// usual is the size of a cluster.
const usual = 1200

func bodiesOf(n, size int) []*anypb.Any {
	out := make([]*anypb.Any, n)
	for i := range out {
		out[i] = &anypb.Any{TypeUrl: string(resource.Cluster), Value: make([]byte, size)}
	}
	return out
}

func marshal(t testing.TB, c encoding.CodecV2, r *discovery.DeltaDiscoveryResponse) mem.BufferSlice {
	t.Helper()
	out, err := c.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FuzzCodec: what the codec writes means what the library writes, the first time and from memory, also when a body comes back
// under another name. Every field of a message survives, those that pilot does not use and those that it does not know too.
func FuzzCodec(f *testing.F) {
	full := clustersOf("7", append(bodiesOf(2, 3), nil, &anypb.Any{}, &anypb.Any{TypeUrl: "x"}, &anypb.Any{Value: []byte{1}}))
	full.Resources[0].Aliases, full.Resources[1].Ttl = []string{"a", "b"}, durationpb.New(time.Second)
	full.Resources[1].ResourceName = &discovery.ResourceName{Name: "c"}
	full.RemovedResources, full.SystemVersionInfo = []string{"gone", ""}, "1"
	full.ControlPlane = &corev3.ControlPlane{Identifier: "pilot"}
	unknown := clustersOf("8", bodiesOf(1, 3))
	for _, m := range []proto.Message{unknown, unknown.Resources[0], unknown.Resources[0].Resource} {
		m.ProtoReflect().SetUnknown(begin(nil, 1000, 0))
	}
	for _, r := range []*discovery.DeltaDiscoveryResponse{{}, {Nonce: "1"}, full, unknown, {Resources: []*discovery.Resource{{}}}} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want := &discovery.DeltaDiscoveryResponse{}
		if proto.Unmarshal(data, want) != nil {
			return
		}
		c := newCodec()
		for _, what := range []string{"the first time", "from memory", "under other names"} {
			got := &discovery.DeltaDiscoveryResponse{}
			if err := proto.Unmarshal(marshal(t, c, want).Materialize(), got); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if !proto.Equal(want, got) {
				t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(want, got, protocmp.Transform()))
			}
			if what == "from memory" {
				for _, r := range want.GetResources() {
					r.Name += "x"
				}
			}
		}
	})
}

// TestResponsesShareBytes compares pointers: each stream has its own envelope and shares the bodies, however large the response is.
func TestResponsesShareBytes(t *testing.T) {
	c, bodies := newCodec(), bodiesOf(100, usual)
	x, y := marshal(t, c, clustersOf("1", bodies)), marshal(t, c, clustersOf("2", bodies))
	own := 0
	for i := range x {
		if unsafe.SliceData(x[i].ReadOnlyData()) != unsafe.SliceData(y[i].ReadOnlyData()) {
			own += x[i].Len()
		}
	}
	if own == 0 || own > 100 {
		t.Errorf("of %d bytes %d are not shared, want those of the envelope", x.Len(), own)
	}
	for i, body := range bodies {
		if unsafe.SliceData(x[2+2*i].ReadOnlyData()) != unsafe.SliceData(body.Value) {
			t.Fatalf("body %d is copied", i)
		}
	}
}

// TestCodecFreesUnusedResources with the resources that they are of.
func TestCodecFreesUnusedResources(t *testing.T) {
	c := newCodec()
	marshal(t, c, clustersOf("1", bodiesOf(10, usual)))
	if n := piecesIn(c); n == 0 {
		t.Fatal("nothing is remembered")
	}
	for deadline := time.Now().Add(20 * time.Second); piecesIn(c) > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("the pieces of %d resources are kept", piecesIn(c))
		}
	}
}

func piecesIn(c *codec) int {
	n := 0
	c.pieces.Range(func(_, _ any) bool { n++; return true })
	return n
}

// TestStreamsUseSharedBuffers opens a stream to a server on loopback.
func TestStreamsUseSharedBuffers(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	l, err := ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, served := w.Insecure(), make(chan error)
	go func() { served <- g.Serve(l) }()
	defer func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node := &corev3.Node{Id: fmt.Sprintf("sidecar~%s~x-0.a~a.svc.cluster.local", w.x.proxy.IPs[0])}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: string(resource.Cluster)}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	clusters := w.x.update.resources().Of(resource.Cluster)
	if len(r.GetResources()) == 0 {
		t.Error("told nothing")
	}
	for _, told := range r.GetResources() {
		if _, ok := w.codec.pieces.Load(weak.Make(clusters.Get(told.GetName()).Body)); !ok {
			t.Errorf("cluster %s was sent as a copy", told.GetName())
		}
	}
}

// BenchmarkResponse encodes a response of a thousand clusters for streams whose clients do not take it. B/op is what each holds.
func BenchmarkResponse(b *testing.B) {
	bodies := bodiesOf(1000, usual)
	shared := newCodec()
	for name, c := range map[string]encoding.CodecV2{"Copied": shared.CodecV2, "Shared": shared} {
		b.Run(name, func(b *testing.B) {
			r := clustersOf("1", bodies)
			b.SetBytes(int64(proto.Size(r)))
			b.ReportAllocs()
			for b.Loop() {
				marshal(b, c, r)
			}
		})
	}
}
