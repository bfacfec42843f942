package server

import "github.com/mesh-operator/mesh-operator/xds/resource"

// step is one line of the update order: what may be sent of a type, once nothing of the types in after is in flight.
type step struct {
	typ            resource.Type
	upsert, remove bool
	after          []resource.Type
}

// order is make-before-break: a resource arrives before what refers to it and leaves after it.
//
// Envoy holds back the ACK of CDS while it warms the clusters, so waiting for that ACK means that routes switch to
// clusters that are ready. Endpoints and secrets never wait for it, because clusters warm by them.
var order = []step{
	{typ: resource.Cluster, upsert: true},
	{typ: resource.Endpoint, upsert: true},
	{typ: resource.Secret, upsert: true, remove: true},
	{typ: resource.Listener, upsert: true, remove: true, after: []resource.Type{resource.Cluster}},
	{typ: resource.Route, upsert: true, remove: true, after: []resource.Type{resource.Cluster}},
	{typ: resource.Endpoint, remove: true, after: []resource.Type{resource.Cluster, resource.Listener, resource.Route}},
	{typ: resource.Cluster, remove: true, after: []resource.Type{resource.Endpoint, resource.Listener, resource.Route}},
}

// wildcard are the types that a proxy asks for without knowing names. All others are served by name only: nobody lists
// secrets.
var wildcard = map[resource.Type]bool{resource.Cluster: true, resource.Listener: true}

// served are the types of the order table, for checking what a client asks for.
var served = func() map[resource.Type]bool {
	out := map[resource.Type]bool{}
	for _, s := range order {
		out[s.typ] = true
	}
	return out
}()
