// Package resource holds the values that travel from the builders to the streams: Envoy resources that are encoded once,
// named by the hash of their bytes, and shared by every proxy that needs them.
package resource

import (
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Type is the type URL of an xDS resource type.
type Type string

// The resource types that pilot serves.
const (
	Cluster  Type = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	Endpoint Type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	Listener Type = "type.googleapis.com/envoy.config.listener.v3.Listener"
	Route    Type = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	Secret   Type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Short is the type's usual abbreviation: CDS, EDS, LDS, RDS or SDS.
func (t Type) Short() string {
	switch t {
	case Cluster:
		return "CDS"
	case Endpoint:
		return "EDS"
	case Listener:
		return "LDS"
	case Route:
		return "RDS"
	case Secret:
		return "SDS"
	}
	return string(t)
}

// Object names a configuration object that a resource was built from, as "Kind/namespace/name"; it is what a NACK blames.
type Object string

// Resource is one immutable, encoded Envoy resource.
type Resource struct {
	Type    Type
	Name    string
	Version string     // hex of the 64-bit hash of the encoded message: equal on every replica of one build
	Body    *anypb.Any // deterministic encoding; never modified
	Sources []Object   // sorted
}

// New encodes message. The encoding is deterministic for one build of the program, so equal content has an equal version.
func New(t Type, name string, message proto.Message, sources ...Object) (*Resource, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", t.Short(), name, err)
	}
	version := strconv.FormatUint(xxhash.Sum64(value), 16)
	return &Resource{Type: t, Name: name, Version: version, Body: &anypb.Any{TypeUrl: string(t), Value: value}, Sources: sources}, nil
}

// Set is everything that the proxies of one scope get: by type, by name. It is immutable once built; sets of successive
// snapshots share the resources that did not change.
type Set struct {
	Resources map[Type]map[string]*Resource
}

// Of returns the resources of one type by name; it may be nil and must not be modified.
func (s *Set) Of(t Type) map[string]*Resource {
	if s == nil {
		return nil
	}
	return s.Resources[t]
}
