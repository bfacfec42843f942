package server

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// A panic is a mistake of pilot's own. It costs what it happened in, and nothing else: an object its effect (mesh.Guarded in
// mesh.Build and in package envoy), a proxy its newest configuration (Publish, attach), a stream itself (the interceptor), a
// snapshot itself (Keep). Who is concerned keeps what he has, but for parts of a gateway or of what a pod serves: those are
// missing until the next change (ADR 2). pilot_total_xds_internal_errors counts, the log says where, and /debug/syncz names the
// proxies. Nothing is tried again before something changes.

// mistaken tells of a panic that was survived: each time in the metric, the first time in the log, with the place.
func (s *Server) mistaken(p mesh.Problem, who ...any) {
	s.metrics.mistakes.Inc()
	if _, known := s.mistakes.LoadOrStore(p.Stack, true); !known {
		s.log.With(who...).Error("internal error, who is concerned keeps what he has", "reason", p.Reason, "stack", p.Stack)
	}
}

// Keep says that there is a newer mesh than that of the last Publish, and that no snapshot could be made of it.
func (s *Server) Keep(mistake mesh.Problem) {
	s.mistaken(mistake)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = mistake.Reason
}

// guard runs what gives c the resources of a generation.
func (s *Server) guard(c *connection, generation uint64, give func()) {
	mistake := mesh.Guarded(mesh.Pilot, give)
	if mistake != nil {
		s.mistaken(*mistake, "proxy", c.proxy.Name, "namespace", c.proxy.Namespace)
	}
	c.offers.lack(generation, mistake)
}

// guardStream runs the handler of a stream.
func (s *Server) guardStream(handle func() error) (err error) {
	if mistake := mesh.Guarded(mesh.Pilot, func() { err = handle() }); mistake != nil {
		s.mistaken(*mistake)
		return status.Error(codes.Internal, mistake.Reason)
	}
	return err
}

// lack notes why the proxy has not been offered the configuration of a generation; nil: it has been. What a new stream and a
// push have to say of it may come in the wrong order, like their offers.
func (o *offers) lack(generation uint64, mistake *mesh.Problem) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if generation < o.tried {
		return
	}
	o.tried, o.mistake = generation, ""
	if mistake != nil {
		o.mistake = mistake.Reason
	}
}

// lacking is what /debug/syncz says of it.
func (s *Server) lacking(c *connection) string {
	s.mu.Lock()
	kept := s.kept
	s.mu.Unlock()
	c.offers.mu.Lock()
	defer c.offers.mu.Unlock()
	if c.offers.mistake != "" {
		return c.offers.mistake
	}
	return kept
}
