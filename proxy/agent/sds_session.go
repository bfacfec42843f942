package agent

import (
	"slices"
	"strconv"
	"strings"
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// sdsSession is the state-of-the-world protocol on one stream, without the stream: it takes requests and returns responses.
// A response has every secret that the client requested and that exists.
type sdsSession struct {
	names     []string
	requested bool
	nonce     int
	version   string // of the last response
}

// request takes a client's message. It returns a response, or nil when the client has the current secrets.
func (s *sdsSession) request(r discoveryRequest, find lookup) *discoveryResponse {
	if s.stale(r) {
		return nil
	}
	names := slices.Sorted(slices.Values(r.names))
	if !s.requested || !slices.Equal(names, s.names) {
		s.version = "" // a secret that is requested again is sent again
	}
	s.requested, s.names = true, names
	return s.push(find)
}

// stale reports whether a request answers a response that is not the last one.
func (s *sdsSession) stale(r discoveryRequest) bool {
	return r.nonce != "" && r.nonce != strconv.Itoa(s.nonce)
}

// push returns a response when the requested secrets differ from the last response. After a rejection as well: Envoy would
// reject the same bytes again.
func (s *sdsSession) push(find lookup) *discoveryResponse {
	var versions []string
	response := &discoveryResponse{typeURL: secretType}
	for _, name := range s.names {
		if secret, ok := find(name); ok {
			versions = append(versions, secret.version)
			response.resources = append(response.resources, secret.body)
		}
	}
	response.version = strings.Join(versions, "-")
	if response.version == s.version {
		return nil
	}
	s.version = response.version
	s.nonce++
	response.nonce = strconv.Itoa(s.nonce)
	return response
}
