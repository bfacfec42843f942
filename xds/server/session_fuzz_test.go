package server

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// FuzzSession exchanges random messages between a proxy and pilot. The proxy rejects a response with a bad resource as a whole.
// Invariants: at most one response per type is in flight, the exchange ends when nothing changes any more, and then the proxy has
// the current version of every good resource it subscribed to.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{16, 0, 33, 0, 50, 0, 3, 17, 4, 34, 0, 5, 1, 6, 2, 80, 7, 255, 64})
	f.Add([]byte("a proxy that comes and goes, and a mesh that changes all the time"))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newTalk(t)
		for i := 0; i+1 < len(script); i += 2 {
			p.step(script[i], script[i+1])
			p.collect()
		}
		for round := 0; len(p.flying) > 0; round++ {
			if round > 10_000 {
				t.Fatal("the talk does not end")
			}
			p.answer(slices.Sorted(maps.Keys(p.flying))[0])
			p.collect()
		}
		p.check()
	})
}

var (
	talkTypes = []resource.Type{resource.Cluster, resource.Endpoint, resource.Listener, resource.Route}
	talkNames = []string{"a", "b", "c", "d", "e"}
)

// talk is a proxy, as simple as it can be, and the session that it talks to.
type talk struct {
	t       *testing.T
	set     *resource.Set
	session *Session
	version int
	names   map[resource.Type]map[string]bool
	has     map[resource.Type]map[string]string
	flying  map[resource.Type]*discovery.DeltaDiscoveryResponse
}

func newTalk(t *testing.T) *talk {
	p := &talk{
		t: t, set: &resource.Set{}, names: map[resource.Type]map[string]bool{}, has: map[resource.Type]map[string]string{},
	}
	for _, typ := range talkTypes {
		p.names[typ], p.has[typ] = map[string]bool{}, map[string]string{}
	}
	p.connect()
	return p
}

func bad(version string) bool { return version[len(version)-1] == '7' }

func (p *talk) step(what, which byte) {
	typ, name := talkTypes[which%4], talkNames[int(which/4)%len(talkNames)]
	named := !wildcard[typ]
	switch what % 8 {
	case 0, 1, 2:
		p.change(typ, name, what%8 == 2, which >= 128)
	case 3:
		if named {
			p.names[typ][name] = true
			p.request(typ, &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{name}})
		}
	case 4:
		if named && p.names[typ][name] {
			delete(p.names[typ], name)
			delete(p.has[typ], name)
			p.request(typ, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{name}})
		}
	case 5, 6:
		p.answer(typ)
	case 7:
		p.connect()
	}
}

// change replaces the set; the session is notified of the difference, or not.
func (p *talk) change(typ resource.Type, name string, remove, tell bool) {
	p.version++
	old := p.set
	p.set = old.Put(&resource.Resource{Type: typ, Name: name, Version: fmt.Sprint(p.version)})
	if remove {
		p.set = old.With(typ, old.Of(typ).Without(name))
	}
	if tell {
		p.session.Update(p.set, Compare(old, p.set))
	} else {
		p.session.Update(p.set, nil)
	}
}

// connect starts a new stream with what the proxy kept.
func (p *talk) connect() {
	p.session, p.flying = NewSession(p.set), map[resource.Type]*discovery.DeltaDiscoveryResponse{}
	for _, typ := range talkTypes {
		p.request(typ, &discovery.DeltaDiscoveryRequest{
			ResourceNamesSubscribe: slices.Sorted(maps.Keys(p.names[typ])), InitialResourceVersions: maps.Clone(p.has[typ]),
		})
	}
}

func (p *talk) request(typ resource.Type, r *discovery.DeltaDiscoveryRequest) {
	r.TypeUrl = string(typ)
	p.session.Request(r)
}

func (p *talk) collect() {
	for r := p.session.Next(); r != nil; r = p.session.Next() {
		typ := resource.Type(r.GetTypeUrl())
		if p.flying[typ] != nil {
			p.t.Fatalf("%s is sent while %s is in flight", describe(r), describe(p.flying[typ]))
		}
		p.flying[typ] = r
	}
}

// answer acknowledges or rejects what is in flight of a type.
func (p *talk) answer(typ resource.Type) {
	r := p.flying[typ]
	if r == nil {
		return
	}
	delete(p.flying, typ)
	reply := &discovery.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce()}
	if slices.ContainsFunc(r.GetResources(), func(x *discovery.Resource) bool { return bad(x.GetVersion()) }) {
		reply.ErrorDetail = &status.Status{Message: "one of them is bad"}
		p.request(typ, reply)
		return
	}
	for _, x := range r.GetResources() {
		if p.wants(typ, x.GetName()) {
			p.has[typ][x.GetName()] = x.GetVersion()
		}
	}
	for _, name := range r.GetRemovedResources() {
		delete(p.has[typ], name)
	}
	p.request(typ, reply)
}

func (p *talk) wants(typ resource.Type, name string) bool { return wildcard[typ] || p.names[typ][name] }

func (p *talk) check() {
	for _, typ := range talkTypes {
		for _, name := range talkNames {
			has, told := p.has[typ][name]
			want := p.set.Of(typ).Get(name)
			switch {
			case !p.wants(typ, name) || want != nil && bad(want.Version):
			case want == nil && told:
				p.t.Errorf("the proxy still has %s %s=%s", typ.Short(), name, has)
			case want != nil && has != want.Version:
				p.t.Errorf("the proxy has %s %s=%q, want %s", typ.Short(), name, has, want.Version)
			}
		}
	}
}

func FuzzParseNodeID(f *testing.F) {
	f.Add("sidecar~10.0.0.1~reviews-v1.bookinfo~bookinfo.svc.cluster.local")
	f.Add("router~::1~a.b.c~x")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNodeID(text)
		if err != nil {
			return
		}
		if n.Pod == "" || n.Namespace == "" {
			t.Errorf("parseNodeID(%q) = %+v, want a pod and a namespace", text, n)
		}
		again := fmt.Sprintf("%s~%s~%s.%s~", n.Type, n.IP, n.Pod, n.Namespace)
		if len(text) < len(again) || text[:len(again)] != again {
			t.Errorf("parseNodeID(%q) prints back as %q", text, again)
		}
	})
}
