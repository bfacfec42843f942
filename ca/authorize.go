package ca

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/subject"
)

// controlPlane are the accounts that serve under a Service's name, and that name. A table, because whatever could add to it
// could make itself the mesh's webhook.
var controlPlane = map[string]string{
	"istio-pilot-service-account":            "istio-pilot",
	"istio-sidecar-injector-service-account": "istio-sidecar-injector",
	"istio-galley-service-account":           "istio-galley",
}

// names is everything of a certificate that says whose it is.
type names struct {
	id      spiffe.ID
	dns     []string
	subject subject.Facts
	until   time.Time // the end of what proved them; zero: none
}

// authorizer decides what an authenticated caller gets, and how often.
type authorizer struct {
	meshNamespace string
	sources       *limiter // before authentication: what a stranger may cost the API server
	identities    *limiter
	total         *rate.Limiter
	now           func() time.Time
}

func newAuthorizer(meshNamespace string, now func() time.Time) *authorizer {
	return &authorizer{
		meshNamespace: meshNamespace,
		sources:       newLimiter(50, 100),
		identities:    newLimiter(10, 20),
		total:         rate.NewLimiter(500, 500),
		now:           now,
	}
}

var errTooMany = errors.New("too many requests")

func (a *authorizer) admitSource(address string) error {
	if !a.sources.allow(address, a.now()) {
		return refused(codes.ResourceExhausted, "rate_source", errTooMany)
	}
	return nil
}

// authorize returns the names that go into the caller's certificate.
func (a *authorizer) authorize(who caller) (names, error) {
	if !a.identities.allow(who.id.String(), a.now()) {
		return names{}, refused(codes.ResourceExhausted, "rate_identity", errTooMany)
	}
	if !a.total.AllowN(a.now(), 1) {
		return names{}, refused(codes.ResourceExhausted, "rate_total", errTooMany)
	}
	return names{id: who.id, dns: a.dnsNames(who.id), subject: who.facts, until: who.until}, nil
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

// limiter is one token bucket per key. Buckets that have been idle long enough to be full are forgotten.
type limiter struct {
	limit rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// mostBuckets bounds the memory of a limiter: beyond it full buckets go first, and if all are in use, all of them.
const mostBuckets = 20_000

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit: limit, burst: burst, buckets: map[string]*rate.Limiter{}}
}

func (l *limiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		bucket = rate.NewLimiter(l.limit, l.burst)
		l.buckets[key] = bucket
	}
	return bucket.AllowN(now, 1)
}

func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < mostBuckets {
		return
	}
	for key, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= mostBuckets {
		clear(l.buckets)
	}
}
