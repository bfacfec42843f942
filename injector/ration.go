package injector

import (
	"context"
	"net"
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

// What a caller may ask about namespaces that the watch does not show. An API server needs this for the moments in which
// a namespace is younger than the watch; anybody else has no use for it.
const (
	unknownPerSecond = 5
	unknownBurst     = 50
	knownCallers     = 1024
)

type callerKey struct{}

// withCaller lets what serves a request know the address that it comes from. The address proves nothing: it only tells
// callers apart.
func withCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, host)))
	})
}

func callerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// ration gives each caller a share of its own, so that one who asks without end uses up nobody else's.
type ration struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newRation() *ration { return &ration{buckets: map[string]*rate.Limiter{}} }

func (r *ration) allow(caller string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets[caller] == nil && len(r.buckets) >= knownCallers {
		r.forget()
	}
	if r.buckets[caller] == nil {
		r.buckets[caller] = rate.NewLimiter(unknownPerSecond, unknownBurst)
	}
	return r.buckets[caller].Allow()
}

// forget drops the callers who have their whole share again, for whom that changes nothing; if there is none, everybody.
func (r *ration) forget() {
	for caller, bucket := range r.buckets {
		if bucket.Tokens() >= unknownBurst {
			delete(r.buckets, caller)
		}
	}
	if len(r.buckets) >= knownCallers {
		clear(r.buckets)
	}
}
