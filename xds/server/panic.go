package server

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// A panic is a defect of pilot. It costs what it happened in, and nothing else: an object its effect (mesh.Guarded in
// mesh.Build and in package envoy), a proxy its newest configuration (Publish, attach), a stream itself (the interceptor), a
// snapshot itself (BuildFailed). The proxies concerned keep their configuration, except for parts of a gateway or of what a pod serves: those
// are missing until the next change (ADR 17). pilot_total_xds_internal_errors counts, the log says where, and /debug/syncz names the
// proxies. Nothing is retried before the next change.

// recordPanic reports a recovered panic: each time in the metric, the first time in the log, with its stack.
func (s *Server) recordPanic(p mesh.Problem, who ...any) {
	s.metrics.panics.Inc()
	if _, known := s.loggedPanics.LoadOrStore(p.Stack, true); !known {
		s.log.With(who...).Error("internal error, who is concerned keeps what he has", "reason", p.Reason, "stack", p.Stack)
	}
}

// BuildFailed records that there is a newer mesh than that of the last Publish, and that no snapshot could be made of it.
func (s *Server) BuildFailed(problem mesh.Problem) {
	s.recordPanic(problem)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buildError = problem.Reason
}

// guard runs what gives c the resources of a generation.
func (s *Server) guard(c *connection, generation uint64, give func()) {
	problem := mesh.Guarded(mesh.Pilot, give)
	if problem != nil {
		s.recordPanic(*problem, "proxy", c.proxy.Name, "namespace", c.proxy.Namespace)
	}
	c.update.setError(generation, problem)
}

// guardStream runs the handler of a stream.
func (s *Server) guardStream(handle func() error) (err error) {
	if problem := mesh.Guarded(mesh.Pilot, func() { err = handle() }); problem != nil {
		s.recordPanic(*problem)
		return status.Error(codes.Internal, problem.Reason)
	}
	return err
}

// setError notes why the proxy has not been offered the configuration of a generation; nil: it has been. A new stream and a
// push may set it in the wrong order, like their pending updates.
func (u *pendingUpdate) setError(generation uint64, problem *mesh.Problem) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if generation < u.tried {
		return
	}
	u.tried, u.failure = generation, ""
	if problem != nil {
		u.failure = problem.Reason
	}
}

// updateError is the error of /debug/syncz.
func (s *Server) updateError(c *connection) string {
	s.mu.Lock()
	kept := s.buildError
	s.mu.Unlock()
	c.update.mu.Lock()
	defer c.update.mu.Unlock()
	if c.update.failure != "" {
		return c.update.failure
	}
	return kept
}
