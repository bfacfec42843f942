package ca

import (
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mesh-operator/mesh-operator/internal/ratelimit"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// controlPlane are the accounts of the mesh's namespace that serve under a Service's name, and that name. A table, because whatever could add to it
// could make itself the mesh's webhook.
var controlPlane = map[string]string{
	"istio-pilot-service-account":            "istio-pilot",
	"istio-sidecar-injector-service-account": "istio-sidecar-injector",
	"istio-galley-service-account":           "istio-galley",
	"istio-telemetry-service-account":        "istio-telemetry",
	"elasticsearch":                          "elasticsearch",
	"kiali":                                  "kiali",
}

// certNames is everything of a certificate that says whose it is.
type certNames struct {
	id      spiffe.ID
	dns     []string
	subject telemetry.Peer
	expires time.Time // the end of what proved them; zero: none
}

// authorizer decides what an authenticated caller gets, and how often.
type authorizer struct {
	meshNamespace string
	sources       *ratelimit.Limiter // before authentication: what an untrusted client may cost the API server
	identities    *ratelimit.Limiter
	now           func() time.Time
}

func newAuthorizer(meshNamespace string, now func() time.Time) *authorizer {
	return &authorizer{
		meshNamespace: meshNamespace,
		sources:       ratelimit.New(5, 100, maxRateLimitKeys),   // a node's pods may have one address, and start together
		identities:    ratelimit.New(50, 1000, maxRateLimitKeys), // a large Deployment has one account, and starts at once
		now:           now,
	}
}

var errTooMany = errors.New("too many requests")

func (a *authorizer) checkSourceRate(address string) error {
	if !a.sources.Allow(address, a.now()) {
		return refused(codes.ResourceExhausted, "rate_source", errTooMany)
	}
	return nil
}

func (a *authorizer) checkIdentityRate(id spiffe.ID) error {
	if !a.identities.Allow(id.String(), a.now()) {
		return refused(codes.ResourceExhausted, "rate_identity", errTooMany)
	}
	return nil
}

// authorize returns the names that go into the caller's certificate.
func (a *authorizer) authorize(who caller) certNames {
	return certNames{id: who.id, dns: a.dnsNames(who.id), subject: who.facts, expires: who.expires}
}

func (a *authorizer) dnsNames(id spiffe.ID) []string {
	service, ok := controlPlane[id.ServiceAccount]
	if !ok || id.Namespace != a.meshNamespace {
		return nil
	}
	return serviceNames(service + "." + a.meshNamespace + ".svc")
}

// serviceNames returns a Service's name as clients inside the cluster spell it.
func serviceNames(name string) []string { return []string{name, name + ".cluster.local"} }

// maxRateLimitKeys bounds the memory of each rate limiter.
const maxRateLimitKeys = 20_000
