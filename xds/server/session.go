package server

import (
	"slices"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Session is the delta protocol of one stream without its I/O: Request takes what the proxy says, Update takes what the
// proxy should have, and Next returns what to send now, until there is nothing more to send. It holds state, not a queue:
// a proxy that is slow to acknowledge gets one response for everything that changed meanwhile.
//
// A Session is used by one goroutine.
type Session struct {
	set   *resource.Set
	types map[resource.Type]*subscription
	nonce uint64
	// warming are the clusters sent before the proxy first asked for endpoints. Envoy warms each with a fresh assignment,
	// so the endpoint versions that it brings from an earlier stream do not spare us sending them.
	warming map[string]bool
}

// NewSession returns the session of a proxy that should have set.
func NewSession(set *resource.Set) *Session {
	return &Session{set: set, types: map[resource.Type]*subscription{}, warming: map[string]bool{}}
}

// Rejection is a NACK: what the proxy said and the resources it said it about.
type Rejection struct {
	Type    resource.Type
	Message string
	Blamed  []*resource.Resource // sorted by name; empty while the culprit is still being looked for
}

// Request takes one message of the proxy. It returns a Rejection if that message is a NACK, and nil otherwise. A type that
// pilot does not serve is not answered.
func (s *Session) Request(r *discovery.DeltaDiscoveryRequest) *Rejection {
	t := resource.Type(r.GetTypeUrl())
	if !served[t] {
		return nil
	}
	sub, known := s.types[t]
	if !known {
		sub = newSubscription(t)
		s.types[t] = sub
	}
	rejection := sub.acknowledge(r)
	if known {
		sub.unsubscribe(r.GetResourceNamesUnsubscribe())
		sub.subscribe(r.GetResourceNamesSubscribe(), s.set.Of(t))
		return rejection
	}
	s.first(sub, r)
	return rejection
}

// first takes the first request of a type. It alone may carry the versions that the proxy kept from an earlier stream,
// and it alone means "everything" when it names nothing.
func (s *Session) first(sub *subscription, r *discovery.DeltaDiscoveryRequest) {
	names := r.GetResourceNamesSubscribe()
	if len(names) == 0 && wildcard[sub.typ] {
		names = []string{"*"}
	}
	set := s.set.Of(sub.typ)
	sub.subscribe(names, set)
	kept := r.GetInitialResourceVersions()
	if sub.typ == resource.Endpoint {
		for name := range s.warming {
			delete(kept, name)
		}
		s.warming = nil
	}
	sub.resume(kept, set)
}

// Update takes the set that the proxy should have now. changed names the resources that differ from the set before; nil
// means that this is not known and everything has to be compared.
func (s *Session) Update(set *resource.Set, changed Change) {
	s.set = set
	for t, sub := range s.types {
		if changed == nil {
			sub.markAll(set.Of(t))
		} else {
			sub.mark(changed[t])
		}
	}
}

// Next returns the next response to send, or nil if the proxy has everything or has to acknowledge something first.
func (s *Session) Next() *discovery.DeltaDiscoveryResponse {
	for _, st := range order {
		sub := s.types[st.typ]
		if sub == nil || sub.pending != nil || s.inFlight(st.after) {
			continue
		}
		if r := sub.respond(st, s.set.Of(st.typ)); r != nil {
			s.sent(sub, r)
			return r
		}
	}
	return nil
}

func (s *Session) inFlight(types []resource.Type) bool {
	return slices.ContainsFunc(types, func(t resource.Type) bool {
		sub := s.types[t]
		return sub != nil && sub.pending != nil
	})
}

func (s *Session) sent(sub *subscription, r *discovery.DeltaDiscoveryResponse) {
	s.nonce++
	r.Nonce = strconv.FormatUint(s.nonce, 10)
	sub.pending.nonce = r.Nonce
	if sub.typ == resource.Cluster {
		s.rewarm(r)
	}
}

// rewarm sends the assignments of the clusters in r again: Envoy waits for one when it replaces a cluster, also when the
// assignment itself has not changed (envoyproxy/envoy#13009).
func (s *Session) rewarm(r *discovery.DeltaDiscoveryResponse) {
	endpoints := s.types[resource.Endpoint]
	for _, cluster := range r.GetResources() {
		name := cluster.GetName()
		switch {
		case endpoints == nil:
			s.warming[name] = true
		case endpoints.names[name] && s.set.Of(resource.Endpoint).Get(name) != nil:
			endpoints.forget(name)
		}
	}
}

// Held is the memory that the proxy makes pilot hold, by the names that it brought.
func (s *Session) Held() int {
	held := 0
	for _, sub := range s.types {
		held += sub.held
	}
	return held
}

// Status is what a session knows of one type, for the debug endpoint.
type Status struct {
	Subscribed int    `json:"subscribed"`
	Wildcard   bool   `json:"wildcard,omitempty"`
	Sent       string `json:"sent,omitempty"`  // nonce of the last response
	Acked      string `json:"acked,omitempty"` // nonce of the last response that was accepted
	Behind     int    `json:"behind"`          // resources that may have to be sent
	Rejected   string `json:"rejected,omitempty"`
}

// Status tells where each type stands.
func (s *Session) Status() map[resource.Type]Status {
	out := map[resource.Type]Status{}
	for t, sub := range s.types {
		out[t] = sub.status()
	}
	return out
}
