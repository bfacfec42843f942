package injector

import (
	"context"
	"net"
	"net/http"
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
