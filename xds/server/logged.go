package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/ration"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// A client chooses when pilot has something to say about it, and with its reasons to reject also what. The log is there for
// all tenants: nothing is said twice of one stream, and each pod, or address, has a share of the lines. The metrics count all.
const (
	linesAtOnce   = 20
	linesEvery    = time.Minute
	knownClients  = 10_000
	longestLogged = 4 << 10 // of a message; /debug/syncz has more of it
	mostNamed     = 20      // resources of one rejection, objects of one resource
)

func newLines() *ration.Shares { return ration.New(rate.Every(linesEvery), linesAtOnce, knownClients) }

// logged is what the log has of the rejections of one stream.
type logged struct {
	searches map[resource.Type]string // the last message that blamed nobody
	versions map[string]string        // of those blamed, by type and name
}

func newLogged() logged {
	return logged{searches: map[resource.Type]string{}, versions: map[string]string{}}
}

func keyOf(r *resource.Resource) string { return r.Type.Short() + " " + r.Name }

// news are those blamed that the log does not have, and whether r is worth a line at all.
func (l *logged) news(r *Rejection) (blamed []*resource.Resource, worth bool) {
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

func (l *logged) note(r *Rejection) {
	if len(r.Blamed) == 0 {
		l.searches[r.Type] = r.Message
	}
	for _, culprit := range r.Blamed {
		l.versions[keyOf(culprit)] = culprit.Version
	}
}

// logRejection says who is to blame, and once what the proxy said.
func (s *Server) logRejection(c *connection, r *Rejection, log *slog.Logger) {
	blamed, worth := c.logged.news(r)
	if !worth || !s.lines.Allow(nameOf(c), time.Now()) {
		return
	}
	c.logged.note(r)
	log = log.With("type", r.Type.Short())
	message := slog.String("message", r.Message[:min(len(r.Message), longestLogged)])
	if len(blamed) == 0 {
		log.Warn("proxy rejected a response, looking for the culprit", message)
	}
	for i, culprit := range blamed {
		if i == mostNamed {
			log.Warn("proxy rejected more resources", "count", len(blamed)-mostNamed)
			break
		}
		log.Warn("proxy rejected a resource", "resource", culprit.Name, "version", culprit.Version, "objects", some(culprit.Sources), message)
		message = slog.Attr{} // said
	}
}

// some are the first objects of a list that may have one for each rule of the mesh.
func some(objects []resource.Object) []resource.Object {
	if len(objects) <= mostNamed {
		return objects
	}
	return append(slices.Clone(objects[:mostNamed]), resource.Object(fmt.Sprintf("and %d more", len(objects)-mostNamed)))
}

// refuse counts a stream that ends before its client wants it to. from is whose share of the log says so.
func (s *Server) refuse(from string, reason error, who ...any) {
	s.metrics.refused.WithLabelValues(status.Code(reason).String()).Inc()
	if s.lines.Allow(from, time.Now()) {
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
