package envoy

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// A Service with sessionAffinity: ClientIP has clusters that choose the endpoint by a hash (RING_HASH: when endpoints change,
// few clients get another one), of which routes and TCP listeners say what is hashed: the client's address. At a gateway
// that is the address of the connection, at a sidecar that of its workload, unless it forwards another's in X-Forwarded-For.

// routeAffinity is the hash of a request.
func routeAffinity() []*routev3.RouteAction_HashPolicy {
	return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
		ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
	}}}
}

// connectionAffinity is the hash of a TCP connection.
func connectionAffinity() []*typev3.HashPolicy {
	return []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
}
