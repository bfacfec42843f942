// Package resource holds the values that travel from the builders to the streams: Envoy resources that are encoded once,
// named by the hash of their bytes, and shared by every proxy that needs them.
package resource

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/mesh-operator/mesh-operator/xds/table"
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

// Types lists them.
var Types = []Type{Cluster, Endpoint, Listener, Route, Secret}

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
	return Encoded(t, name, value, sources...), nil
}

// Encoded is New for a message that is encoded already.
func Encoded(t Type, name string, value []byte, sources ...Object) *Resource {
	version := strconv.FormatUint(xxhash.Sum64(value), 16)
	return &Resource{Type: t, Name: name, Version: version, Body: &anypb.Any{TypeUrl: string(t), Value: value}, Sources: sources}
}

// Set is everything that the proxies of one scope get: by type, by name. It is immutable; sets of successive snapshots and
// of different scopes share what they have in common.
type Set struct {
	types map[Type]table.Table[*Resource]
}

// Of returns the resources of one type by name.
func (s *Set) Of(t Type) table.Table[*Resource] {
	if s == nil {
		return table.Table[*Resource]{}
	}
	return s.types[t]
}

// With returns a set that has other resources of one type.
func (s *Set) With(t Type, resources table.Table[*Resource]) *Set {
	out := &Set{types: map[Type]table.Table[*Resource]{}}
	if s != nil {
		maps.Copy(out.types, s.types)
	}
	out.types[t] = resources
	return out
}

// Put returns a set that has these resources too.
func (s *Set) Put(resources ...*Resource) *Set {
	out := s
	for _, t := range Types {
		of := s.Of(t)
		for _, r := range resources {
			if r.Type == t {
				of = of.With(r.Name, r)
			}
		}
		if of != s.Of(t) {
			out = out.With(t, of)
		}
	}
	return out
}
