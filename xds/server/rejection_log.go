package server

import (
	"context"
	"log/slog"
	"net"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/listing"
	"github.com/mesh-operator/mesh-operator/internal/ratelimit"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// A client chooses when pilot has something to say about it, and with its reasons to reject also what. The log is there for
// all tenants: nothing is said twice of one stream, and each pod, or address, has a share of the lines. The metrics count all.
const (
	logBurst        = 20
	logInterval     = time.Minute
	maxLogClients   = 10_000
	maxLoggedLength = 4 << 10 // of a message; /debug/syncz has more of it
	maxNamed        = 20      // resources of one rejection, objects of one resource
)

func newLogRate() *ratelimit.Limiter {
	return ratelimit.New(rate.Every(logInterval), logBurst, maxLogClients)
}

// rejectionLog is what the log has of the rejections of one stream.
type rejectionLog struct {
	searches map[resource.Type]string // the last message that blamed nobody
	versions map[string]string        // of those blamed, by type and name
}

func newRejectionLog() rejectionLog {
	return rejectionLog{searches: map[resource.Type]string{}, versions: map[string]string{}}
}

func keyOf(r *resource.Resource) string { return r.Type.Short() + " " + r.Name }

// news are those blamed that the log does not have, and whether r is worth a line at all.
func (l *rejectionLog) unlogged(r *Rejection) (blamed []*resource.Resource, worth bool) {
	if len(r.Blamed) == 0 {
		return nil, l.searches[r.Type] != r.Message
	}
	for _, culprit := range r.Blamed {
		if l.versions[keyOf(culprit)] != culprit.Version {
			blamed = append(blamed, culprit)
		}
	}
	return blamed, len(blamed) > 0
}

func (l *rejectionLog) record(r *Rejection) {
	if len(r.Blamed) == 0 {
		l.searches[r.Type] = r.Message
	}
	for _, culprit := range r.Blamed {
		l.versions[keyOf(culprit)] = culprit.Version
	}
}

// logRejection says who is to blame, and once what the proxy said.
func (s *Server) logRejection(c *connection, r *Rejection, log *slog.Logger) {
	blamed, worth := c.rejections.unlogged(r)
	if !worth || !s.logRate.Allow(nameOf(c), time.Now()) {
		return
	}
	c.rejections.record(r)
	log = log.With("type", r.Type.Short())
	message := slog.String("message", r.Message[:min(len(r.Message), maxLoggedLength)])
	if len(blamed) == 0 {
		log.Warn("proxy rejected a response, looking for the culprit", message)
	}
	for i, culprit := range blamed {
		if i == maxNamed {
			log.Warn("proxy rejected more resources", "count", len(blamed)-maxNamed)
			break
		}
		log.Warn("proxy rejected a resource", "resource", culprit.Name, "version", culprit.Version, "objects", listing.First(culprit.Sources, maxNamed), message)
		message = slog.Attr{} // said
	}
}

// refuse counts a stream that ends before its client wants it to. from is whose share of the log says so.
func (s *Server) refuse(from string, reason error, who ...any) {
	s.metrics.refused.WithLabelValues(status.Code(reason).String()).Inc()
	if s.logRate.Allow(from, time.Now()) {
		s.log.With(who...).Info("stream refused", "reason", reason)
	}
}

// refuseProxy is refuse for a client that has said, and shown, whose proxy it is.
func (s *Server) refuseProxy(c *connection, reason error) {
	s.refuse(nameOf(c), reason, "proxy", c.proxy.Name, "namespace", c.proxy.Namespace)
}

// addressOf is where a stream comes from, in words that name no pod.
func addressOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "nowhere"
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		host = p.Addr.String()
	}
	return "from " + host
}
