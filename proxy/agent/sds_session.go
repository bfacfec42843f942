package agent

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// stateSession is the state-of-the-world protocol on one stream, without the stream: requests go in, responses come out.
// A response lists every secret that the client asked for and we have.
type stateSession struct {
	names   []string
	asked   bool
	nonce   int
	version string // of the last response
}

// request takes a client's message. It returns a response, or nil when there is nothing new; rejected says what the client
// did not like about the last one.
func (s *stateSession) request(r *discoveryv3.DiscoveryRequest, have lookup) (response *discoveryv3.DiscoveryResponse, rejected string) {
	if r.ResponseNonce != "" && r.ResponseNonce != strconv.Itoa(s.nonce) {
		return nil, "" // answers a response that a newer one has overtaken
	}
	rejected = r.ErrorDetail.GetMessage()
	names := slices.Sorted(slices.Values(r.ResourceNames))
	changed := !s.asked || !slices.Equal(names, s.names)
	s.asked, s.names = true, names
	if changed {
		s.version = "" // a secret that is asked for again is sent again
	}
	return s.push(have), rejected
}

// push returns a response when what the client asked for differs from what it was sent last, also after a rejection: the
// same bytes again would be rejected again, for ever.
func (s *stateSession) push(have lookup) *discoveryv3.DiscoveryResponse {
	var versions []string
	var bodies []*anypb.Any
	for _, name := range s.names {
		if secret, ok := have(name); ok {
			versions = append(versions, secret.version)
			bodies = append(bodies, secret.body)
		}
	}
	version := strings.Join(versions, "-")
	if version == s.version {
		return nil
	}
	s.version = version
	s.nonce++
	return &discoveryv3.DiscoveryResponse{
		VersionInfo: version, Resources: bodies, TypeUrl: secretType, Nonce: strconv.Itoa(s.nonce),
	}
}

// deltaSession is the incremental protocol on one stream, likewise.
type deltaSession struct {
	sent  map[string]string // name -> version that the client has; "" it was lastReason that there is none
	nonce int
}

func (s *deltaSession) request(r *discoveryv3.DeltaDiscoveryRequest, have lookup) (response *discoveryv3.DeltaDiscoveryResponse, rejected string) {
	if s.sent == nil {
		s.sent = map[string]string{}
	}
	for _, name := range r.ResourceNamesUnsubscribe {
		delete(s.sent, name)
	}
	for _, name := range r.ResourceNamesSubscribe {
		s.sent[name] = unsent
	}
	for name, version := range r.InitialResourceVersions {
		s.sent[name] = version
	}
	return s.push(have), r.ErrorDetail.GetMessage()
}

// unsent is the version of a secret that was asked for and not answered.
const unsent = "?"

func (s *deltaSession) push(have lookup) *discoveryv3.DeltaDiscoveryResponse {
	var out discoveryv3.DeltaDiscoveryResponse
	for _, name := range slices.Sorted(maps.Keys(s.sent)) {
		secret, ok := have(name)
		switch {
		case s.sent[name] == secret.version:
			continue
		case ok:
			out.Resources = append(out.Resources, &discoveryv3.Resource{Name: name, Version: secret.version, Resource: secret.body})
		default:
			out.RemovedResources = append(out.RemovedResources, name)
		}
		s.sent[name] = secret.version
	}
	if out.Resources == nil && out.RemovedResources == nil {
		return nil
	}
	s.nonce++
	out.TypeUrl, out.Nonce = secretType, strconv.Itoa(s.nonce)
	return &out
}
