package mesh

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

func virtualServiceFor(namespace string, hosts ...string) *VirtualService {
	spec := &networking.VirtualService{Hosts: hosts}
	return newVirtualService(istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: namespace, Name: "v", Spec: spec}, spec)
}

func TestCommonHosts(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"*", "a.com", "a.com"},
		{"*.a.com", "x.a.com", "x.a.com"},
		{"*.a.com", "y.x.a.com", "y.x.a.com"},
		{"*.a.com", "*", "*.a.com"},
		{"*.a.com", "*.x.a.com", "*.x.a.com"},
		{"*.a.com", "a.com", ""},
		{"*.a.com", "b.com", ""},
		{"*.x.a.com", "*.y.a.com", ""},
		{"a.com", "a.com", "a.com"},
		{"*.a.com", "xa.com", ""},
		{"*a.com", "xa.com", "xa.com"},
		{"*a.com", "x.a.com", "x.a.com"},
		{"*a.com", "a.com", ""},
		{"*a.com", "*.a.com", "*.a.com"},
		{"*a.com", "*ba.com", "*ba.com"},
	} {
		for server, own := range map[string]string{c.a: c.b, c.b: c.a} {
			if got := strings.Join(NewServerHosts("ns", []string{server}).Common(virtualServiceFor("ns", own)), " "); got != c.want {
				t.Errorf("%s at a server of %s has %q, want %q", own, server, got, c.want)
			}
		}
	}
}

func TestServerHostsByNamespace(t *testing.T) {
	server := NewServerHosts("gates", []string{"a.com", "*/b.com", "shop/c.com", "./d.com", "other/*"})
	for namespace, want := range map[string]string{"shop": "a.com b.com c.com", "gates": "a.com b.com d.com", "other": "* a.com b.com", "else": "a.com b.com"} {
		got := strings.Join(server.Common(virtualServiceFor(namespace, "*")), " ")
		if got != want {
			t.Errorf("a VirtualService of %s has %q, want %q", namespace, got, want)
		}
	}
}

// TestCommonHostsEqualAllPairs compares with looking at each pair.
func TestCommonHostsEqualAllPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() []string {
		found := map[string]bool{}
		for range 1 + random.IntN(6) {
			host := "a.com"
			for range random.IntN(4) {
				host = string(rune('a'+random.IntN(2))) + "." + host
			}
			switch random.IntN(8) {
			case 0, 1:
				host = "*." + host
			case 2:
				host = "*"
			case 3:
				host = "*" + host
			}
			found[host] = true
		}
		return slices.Sorted(maps.Keys(found))
	}
	for range 2000 {
		server, own := some(), some()
		pairs := map[string]bool{}
		for _, a := range server {
			for _, b := range own {
				if Includes(a, b) {
					pairs[b] = true
				} else if Includes(b, a) {
					pairs[a] = true
				}
			}
		}
		got := NewServerHosts("ns", server).Common(virtualServiceFor("ns", own...))
		if diff := cmp.Diff(slices.Sorted(maps.Keys(pairs)), got); diff != "" {
			t.Fatalf("server %v, VirtualService %v (-pairs +common):\n%s", server, own, diff)
		}
	}
}

// TestHostLookupIsConstantTime takes a thousand hosts to a hundred servers of a thousand each: pair by pair it would
// take ten seconds.
func TestHostLookupIsConstantTime(t *testing.T) {
	var server, own []string
	for i := range 1000 {
		server, own = append(server, fmt.Sprintf("s%d.example.com", i)), append(own, fmt.Sprintf("v%d.example.com", i))
	}
	hosts, v := NewServerHosts("ns", server), virtualServiceFor("ns", own...)
	start := time.Now()
	for range 100 {
		if common := hosts.Common(v); len(common) > 0 {
			t.Fatalf("%v are common, want none", common)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a VirtualService of 1000 hosts at 100 servers took %s", took)
	}
}
