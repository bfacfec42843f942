package server

import (
	"maps"
	"slices"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// resources are those of one type that the proxy should have.
type resources = table.Table[*resource.Resource]

// What a proxy has, where that is not the version of a resource.
const (
	unknown         = "?" // it asked and waits for an answer, also for the answer that there is none
	absent          = "-" // it was sent that there is none
	rejectedVersion = "!" // it refused a response: what it has is some earlier version, or a part of that response
)

// subscription is one resource type of a session: what the proxy asked for, what it has, and what it was last sent.
type subscription struct {
	typ        resource.Type
	everything bool              // the wildcard
	names      map[string]bool   // asked for by name
	has        map[string]string // version by name; a version, unknown or absent
	dirty      map[string]bool   // names to compare before the next response
	removing   map[string]bool   // names of resources that are gone, to be removed when nothing refers to them
	rejected   map[string]string // versions that the proxy refused, by name
	retries    [][]string        // groups of a refused response that still have to be tried one by one
	unanswered bool              // the first request must be answered, even with nothing
	pending    *pending
	last       lastSeen
	held       int // the size of the names that the proxy brought; see unsubscribe for when it shrinks
}

// pending is the one response in flight.
type pending struct {
	nonce   string
	sent    []*resource.Resource // sorted by name
	removed []string
}

type lastSeen struct{ sent, acked, message string }

func newSubscription(t resource.Type) *subscription {
	return &subscription{
		typ: t, names: map[string]bool{}, has: map[string]string{}, dirty: map[string]bool{}, removing: map[string]bool{},
		rejected: map[string]string{},
	}
}

func (s *subscription) wants(name string) bool { return s.everything || s.names[name] }

// forget makes the next response tell name again, because what the proxy has of it is not known any more.
func (s *subscription) forget(name string) {
	s.has[name] = unknown
	s.dirty[name] = true
}

func (s *subscription) subscribe(names []string, set resources) {
	for _, name := range names {
		switch {
		case name != "*" || !wildcard[s.typ]:
			s.ask(name)
			delete(s.rejected, name)
			s.forget(name) // asked for again: the proxy may have dropped it
		case !s.everything: // a request may say it a million times
			s.everything = true
			s.markAll(set)
		}
	}
}

func (s *subscription) ask(name string) {
	if !s.names[name] {
		s.names[name] = true
		s.held += nameSize(name)
	}
}

func (s *subscription) unsubscribe(names []string) {
	for _, name := range names {
		switch {
		case name == "*" && wildcard[s.typ]:
			s.leaveAll()
		case !s.names[name]: // it never asked for it
		case s.everything:
			delete(s.names, name)
			s.forget(name) // still covered by the wildcard, but the proxy has dropped its own; held until it is answered, or longer
		default:
			s.held -= nameSize(name)
			delete(s.names, name)
			s.drop(name)
		}
	}
}

// leaveAll takes the wildcard back. A request may say so a million times.
func (s *subscription) leaveAll() {
	if !s.everything {
		return
	}
	s.everything = false
	for _, of := range []map[string]bool{s.dirty, s.removing} {
		maps.DeleteFunc(of, func(name string, _ bool) bool { return !s.names[name] })
	}
	for _, of := range []map[string]string{s.has, s.rejected} {
		maps.DeleteFunc(of, func(name, _ string) bool { return !s.names[name] })
	}
}

// drop keeps nothing of a name that the proxy does not want any more.
func (s *subscription) drop(name string) {
	delete(s.has, name)
	delete(s.dirty, name)
	delete(s.removing, name)
	delete(s.rejected, name)
}

// resume takes over the versions that the proxy kept from an earlier stream, perhaps to another replica. If they are all
// that it asked for, the answer is silence; in every other case the first request is answered, even if with nothing, or
// the proxy would wait for its listeners for ever.
func (s *subscription) resume(kept map[string]string, set resources) {
	s.unanswered = true
	for name, version := range kept {
		if !s.wants(name) {
			continue
		}
		if len(version) > maxVersionLength { // not one of ours
			version = rejectedVersion
		}
		s.has[name] = version
		s.dirty[name] = true
		r := set.Get(name)
		if r == nil && !s.names[name] {
			s.held += nameSize(name)
		}
		if r != nil && r.Version == version {
			s.unanswered = false
		}
	}
}

// mark notes that the named resources may have changed.
func (s *subscription) mark(names []string) {
	for _, name := range names {
		if s.wants(name) {
			s.dirty[name] = true
		}
	}
}

// markAll notes that anything may have changed.
func (s *subscription) markAll(set resources) {
	for name := range s.has {
		s.dirty[name] = true
	}
	for name := range s.names {
		s.dirty[name] = true
	}
	if s.everything {
		for name := range set.All() {
			s.dirty[name] = true
		}
	}
}

// respond returns the response of this step, or nil, and records that it is in flight. While the
// culprit of a NACK is looked for, the groups of resources to retry go one by one and everything else waits.
func (s *subscription) respond(st step, set resources) *discovery.DeltaDiscoveryResponse {
	if st.remove { // nothing refers to them any more
		maps.Copy(s.dirty, s.removing)
		clear(s.removing)
	}
	for st.upsert && len(s.retries) > 0 {
		group := s.retries[0]
		s.retries = s.retries[1:]
		if r := s.compose(st, set, group); r != nil {
			return r
		}
	}
	if r := s.compose(st, set, slices.Sorted(maps.Keys(s.dirty))); r != nil {
		return r
	}
	if s.unanswered && st.upsert {
		return s.send(&discovery.DeltaDiscoveryResponse{}, nil)
	}
	return nil
}

// compose makes the response about those of names that this step may speak of, or nil if there are none.
func (s *subscription) compose(st step, set resources, names []string) *discovery.DeltaDiscoveryResponse {
	r := &discovery.DeltaDiscoveryResponse{}
	var sent []*resource.Resource
	for _, name := range names {
		want := set.Get(name)
		switch {
		case !s.dirty[name]:
		case !s.wants(name) || s.upToDate(name, want):
			delete(s.dirty, name)
		case want == nil && (st.remove || s.has[name] == unknown): // nothing refers to what the proxy does not have
			s.markRemoved(name)
			r.RemovedResources = append(r.RemovedResources, name)
		case want == nil: // not looked at again before its time, however long the proxy makes us wait
			delete(s.dirty, name)
			s.removing[name] = true
		case want != nil && st.upsert:
			s.markSent(name, want.Version)
			sent = append(sent, want)
			r.Resources = append(r.Resources, &discovery.Resource{Name: name, Version: want.Version, Resource: want.Body})
		}
	}
	if len(sent)+len(r.GetRemovedResources()) == 0 {
		return nil
	}
	return s.send(r, sent)
}

func (s *subscription) send(r *discovery.DeltaDiscoveryResponse, sent []*resource.Resource) *discovery.DeltaDiscoveryResponse {
	r.TypeUrl = string(s.typ)
	s.unanswered, s.pending = false, &pending{sent: sent, removed: r.GetRemovedResources()}
	return r
}

// upToDate tells whether there is nothing to say about name.
func (s *subscription) upToDate(name string, want *resource.Resource) bool {
	has, known := s.has[name]
	if want == nil {
		return has == absent || !known && !s.names[name]
	}
	return has == want.Version || s.rejected[name] == want.Version
}

// markSent notes that the proxy is being sent a version.
func (s *subscription) markSent(name, version string) {
	delete(s.dirty, name)
	delete(s.removing, name)
	delete(s.rejected, name)
	s.has[name] = version
}

// markRemoved records that the removal of a resource is being sent.
func (s *subscription) markRemoved(name string) {
	s.drop(name)
	if s.names[name] {
		s.has[name] = absent
	}
}

// acknowledge takes the nonce of a request. Only the nonce of the response in flight means anything: an older one was
// overtaken, and an empty one comes with a change of subscription.
func (s *subscription) acknowledge(r *discovery.DeltaDiscoveryRequest) *Rejection {
	if s.pending == nil || r.GetResponseNonce() != s.pending.nonce {
		return nil
	}
	p := s.pending
	s.pending = nil
	s.last.sent = p.nonce
	if r.GetErrorDetail() == nil {
		s.last.acked, s.last.message = p.nonce, ""
		return nil
	}
	message := r.GetErrorDetail().GetMessage()
	s.last.message = strings.Clone(message[:min(len(message), maxErrorLength)]) // and nothing of what is cut off
	if len(p.sent) > 0 {                                                        // removals alone are not rejected for good reason, and saying them again would not end
		for _, name := range p.removed {
			if s.wants(name) {
				s.has[name] = rejectedVersion
				s.dirty[name] = true
			}
		}
	}
	return &Rejection{Type: s.typ, Message: s.last.message, Blamed: s.reject(p.sent, s.last.message)}
}

// reject finds out what a NACK was about. Envoy refuses a whole response for one bad resource, so all of it is in doubt:
// a single resource is the culprit, or those that the message names are; otherwise both halves are tried again, which
// ends with single ones. What was refused is not sent again before its content changes, and nothing good is held back by
// something bad beside it.
func (s *subscription) reject(sent []*resource.Resource, message string) []*resource.Resource {
	var blamed []*resource.Resource
	var others []string
	for _, r := range sent {
		s.has[r.Name] = rejectedVersion
		if len(sent) == 1 || namedBy(message, r) {
			s.rejected[r.Name] = r.Version
			blamed = append(blamed, r)
			continue
		}
		s.dirty[r.Name] = true
		others = append(others, r.Name)
	}
	s.retry(others, len(blamed) > 0)
	return blamed
}

// namedBy tells whether an error names r. Only the errors of CDS and LDS list what they are about, and a name counts only
// as a whole word: route 80 is not in "port 8080".
func namedBy(message string, r *resource.Resource) bool {
	if r.Type != resource.Cluster && r.Type != resource.Listener {
		return false
	}
	for rest := message; ; {
		at := strings.Index(rest, r.Name)
		if at < 0 || r.Name == "" {
			return false
		}
		end := at + len(r.Name)
		if !strings.ContainsAny(rest[max(0, at-1):at], wordCharacters) && !inWord(rest[end:]) {
			return true
		}
		rest = rest[end:]
	}
}

const wordCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-|."

// inWord tells whether a name that ends before rest goes on there; a full stop ends it.
func inWord(rest string) bool {
	return len(rest) > 1 && rest[0] == '.' && strings.ContainsAny(rest[1:2], wordCharacters) ||
		rest != "" && rest[0] != '.' && strings.ContainsAny(rest[:1], wordCharacters)
}

// retry queues names to be tried again: together if the culprit is known, in halves otherwise.
func (s *subscription) retry(names []string, known bool) {
	switch half := len(names) / 2; {
	case len(names) == 0:
	case known:
		s.retries = append(s.retries, names)
	default:
		s.retries = append(s.retries, names[:half], names[half:])
	}
}

func (s *subscription) status() Status {
	out := Status{
		Subscribed: len(s.names), Wildcard: s.everything, Sent: s.last.sent, Acked: s.last.acked, Behind: len(s.dirty) + len(s.removing),
		Rejected: s.last.message,
	}
	if s.pending != nil {
		out.Sent = s.pending.nonce
	}
	return out
}
