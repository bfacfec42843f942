package featuretest

import (
	"context"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const reviewsIP = "10.244.0.1"

func TestProxyGetsOnlyItsPodsConfiguration(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP), workload("bookinfo", "ratings", "10.244.0.2"),
		workload("bank", "reviews", "10.244.0.3"), router("bookinfo", "gateway", "10.244.0.4"))
	reviews := identity("bookinfo", "reviews")
	cases := map[string]struct {
		reason   string
		node     string
		identity string
		want     codes.Code
		says     []string
	}{
		"OtherNamespace": {
			reason: "A node may not claim another namespace.",
			node:   sidecar("bank", "reviews", "10.244.0.3"), identity: reviews,
			want: codes.PermissionDenied, says: []string{"namespace bank", "namespace bookinfo"},
		},
		"OtherNamespaceWithoutSuchAPod": {
			reason: "Whether a pod exists is told to its own namespace only.",
			node:   sidecar("bank", "nobody", "10.244.0.3"), identity: reviews,
			want: codes.PermissionDenied, says: []string{"namespace bank", "namespace bookinfo"},
		},
		"OtherAccount": {
			reason: "A node may not claim a pod of another account.",
			node:   sidecar("bookinfo", "ratings", "10.244.0.2"), identity: reviews,
			want: codes.PermissionDenied, says: []string{"account ratings", "account reviews"},
		},
		"OtherTrustDomain": {
			reason: "The same names in another trust domain are somebody else.",
			node:   sidecar("bookinfo", "reviews", reviewsIP), identity: "spiffe://elsewhere/ns/bookinfo/sa/reviews",
			want: codes.PermissionDenied, says: []string{"elsewhere", "cluster.local"},
		},
		"ASidecarAsARouter": {
			reason: "What a pod is, its Pod object says.",
			node:   strings.Replace(sidecar("bookinfo", "reviews", reviewsIP), "sidecar", "router", 1), identity: reviews,
			want: codes.PermissionDenied, says: []string{"router", "sidecar"},
		},
		"ARouterAsASidecar": {
			reason: "What a pod is, its Pod object says.",
			node:   sidecar("bookinfo", "gateway", "10.244.0.4"), identity: identity("bookinfo", "gateway"),
			want: codes.PermissionDenied, says: []string{"router", "sidecar"},
		},
		"NotSeenYet": {
			reason: "A pod that is seconds old tries again.",
			node:   sidecar("bookinfo", "details", "10.244.0.9"), identity: identity("bookinfo", "details"),
			want: codes.Unavailable, says: []string{"bookinfo/details-1"},
		},
		"AddressNotSeenYet": {
			reason: "The kubelet reports an address a moment after the pod has it.",
			node:   sidecar("bookinfo", "reviews", "10.244.0.9"), identity: reviews,
			want: codes.Unavailable, says: []string{"10.244.0.9"},
		},
		"Nonsense": {
			reason: "A node id has four parts.",
			node:   "reviews", identity: reviews,
			want: codes.InvalidArgument,
		},
		"NoType":      {reason: "A proxy has a type.", node: "x~" + reviewsIP + "~reviews-1.bookinfo~d", identity: reviews, want: codes.InvalidArgument},
		"NoNamespace": {reason: "A pod has a namespace.", node: "sidecar~" + reviewsIP + "~reviews-1~d", identity: reviews, want: codes.InvalidArgument},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := p.connectAs(c.node, c.identity)
			client.subscribe(resource.Cluster)
			got := client.refused()
			if got.Code() != c.want {
				t.Errorf("%s Answer is %v, want %v", c.reason, got, c.want)
			}
			for _, words := range c.says {
				if !strings.Contains(got.Message(), words) {
					t.Errorf("the answer %q does not say %q", got.Message(), words)
				}
			}
		})
	}
}

func TestProxyWithCertificateIsServed(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP))
	c := p.connectAs(sidecar("bookinfo", "reviews", reviewsIP), identity("bookinfo", "reviews"))
	if got := c.everything(); len(got[resource.Listener]) == 0 || len(got[resource.Endpoint]) == 0 {
		t.Errorf("got %v", got)
	}
}

func TestPlaintextListenerRequiresExistingPod(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP))
	c := p.connect(sidecar("bookinfo", "nobody", reviewsIP))
	c.subscribe(resource.Cluster)
	if got := c.refused(); got.Code() != codes.Unavailable {
		t.Errorf("answer is %v, want Unavailable", got)
	}
}

func TestUnavailableBeforeFirstConfiguration(t *testing.T) {
	p := startPilot(t)
	c := p.connect(sidecar("bookinfo", "reviews", reviewsIP))
	c.subscribe(resource.Cluster)
	if got := c.refused(); got.Code() != codes.Unavailable {
		t.Errorf("answer is %v, want Unavailable", got)
	}
}

func TestStreamEndsWithPod(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP))
	deleted := p.connect(sidecar("bookinfo", "reviews", reviewsIP))
	deleted.everything()
	p.remove("Pod/bookinfo/reviews-1")
	if got := deleted.refused(); got.Code() != codes.Unavailable {
		t.Errorf("stream of a deleted pod ends with %v, want Unavailable", got)
	}
}

func TestStreamEndsWhenPodIsReplaced(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP))
	c := p.connect(sidecar("bookinfo", "reviews", reviewsIP))
	c.everything()
	p.apply(strings.Replace(pod("bookinfo", "reviews", reviewsIP), "uid: ", "uid: another-", 1))
	if got := c.refused(); got.Code() != codes.Unavailable {
		t.Errorf("stream of a replaced pod ends with %v, want Unavailable", got)
	}
}

// TestStreamLimitPerPod is about a tenant who opens as many streams as his certificate gets him.
func TestStreamLimitPerPod(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP), workload("bookinfo", "ratings", "10.244.0.2"))
	node := sidecar("bookinfo", "reviews", reviewsIP)
	var streams []*client
	for range 16 {
		c := p.connect(node)
		c.everything()
		streams = append(streams, c)
	}
	more := p.connect(node)
	more.subscribe(resource.Cluster)
	if got := more.refused(); got.Code() != codes.ResourceExhausted {
		t.Errorf("one stream too many ends with %v, want ResourceExhausted", got)
	}
	p.connect(sidecar("bookinfo", "ratings", "10.244.0.2")).everything()
	p.remove("Pod/bookinfo/reviews-1")
	for _, c := range streams {
		c.refused()
	}
	p.apply(pod("bookinfo", "reviews", reviewsIP))
	p.connect(node).everything() // the places of streams that ended are free
}

// TestStreamLimitPerConnection: a client cannot multiply the memory of an unidentified stream by opening many.
func TestStreamLimitPerConnection(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", reviewsIP))
	api := discovery.NewAggregatedDiscoveryServiceClient(p.dial(p.insecure, insecure.NewCredentials()))
	for range 4 {
		if _, err := api.DeltaAggregatedResources(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := api.DeltaAggregatedResources(soon); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a fifth stream ends with %v, want it to wait for one of four to end", err)
	}
}
