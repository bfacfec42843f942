package server

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/ratelimit"
	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Server gives proxies their configuration. Publish and the streams may run at the same time.
type Server struct {
	log     *slog.Logger
	metrics *metrics
	builder *envoy.Builder

	sendTimeout time.Duration
	logRate     *ratelimit.Limiter // of the log
	handshakes  handshakeLimit
	codec       *codec

	publishing sync.Mutex // one push at a time
	problems   problems   // of the last push; guarded by publishing

	reporting sync.Mutex
	findings  problems // of the last analysis; guarded by reporting

	mu          sync.Mutex
	views       *views // of the current snapshot; nil before the first
	generation  uint64
	connections map[*connection]bool
	quotas      map[string]*podQuota // by pod
	buildError  string               // why views are not of the newest mesh; empty: it is

	loggedPanics sync.Map // the stacks of those that the log has
}

// Publish makes snapshot the current one and wakes the proxies whose resources it changes, and only those.
func (s *Server) Publish(snapshot *mesh.Snapshot) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.publish(s.nextViews(snapshot))
}

// nextViews are those of a snapshot that is not published yet.
func (s *Server) nextViews(snapshot *mesh.Snapshot) *views {
	s.mu.Lock()
	defer s.mu.Unlock()
	return newViews(s.views, snapshot)
}

func (s *Server) publish(v *views) {
	start := time.Now()
	generation, connections := s.advance(v)
	p := push{views: v, builder: s.builder, comparisons: comparisons{}, seen: map[*output]bool{}, reported: map[*envoy.Shared]bool{}}
	for _, c := range connections {
		s.guard(c, generation, func() {
			if class := c.classIn(v.snapshot()); class != nil {
				c.setUpdate(generation, p.output(class).set, p.comparisons.compare)
			}
		})
	}
	s.metrics.panics.Add(s.problems.report(s.log, slices.Concat(v.snapshot().Problems, p.problems)))
	s.metrics.pushTime.Observe(time.Since(start).Seconds())
}

func (s *Server) advance(v *views) (uint64, []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views, s.buildError = v, ""
	s.generation++
	return s.generation, slices.Collect(maps.Keys(s.connections))
}

// attach adds a connection. It is added before its set is made, so that a push at the same time reaches it: whichever of
// the two has the newer snapshot wins. A pod that has its share of streams is refused.
func (s *Server) attach(c *connection) bool {
	s.mu.Lock()
	if !s.join(c) {
		s.mu.Unlock()
		return false
	}
	s.connections[c] = true
	v, generation := s.views, s.generation
	s.mu.Unlock()
	s.metrics.connected.Inc()
	s.guard(c, generation, func() {
		if class := c.classIn(v.snapshot()); class != nil {
			out := v.output(s.builder, v.scopes.Scope(class))
			c.setUpdate(generation, out.set, func(_, _ *resource.Set) Change { return nil })
		}
	})
	return true
}

// join gives c the share of its pod, if there is room for one more.
func (s *Server) join(c *connection) bool {
	of := s.quotas[nameOf(c)]
	if of == nil {
		of = &podQuota{}
		s.quotas[nameOf(c)] = of
	}
	if of.streams >= maxStreamsPerPod {
		return false
	}
	of.streams++
	c.quota = of
	return true
}

func (s *Server) detach(c *connection) {
	c.leave()
	s.mu.Lock()
	delete(s.connections, c)
	if c.quota.streams--; c.quota.streams == 0 {
		delete(s.quotas, nameOf(c))
	}
	s.mu.Unlock()
	s.metrics.connected.Dec()
}

func (s *Server) current() *mesh.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views == nil {
		return nil
	}
	return s.views.snapshot()
}

// push is the work of one Publish that proxies share.
type push struct {
	views       *views
	builder     *envoy.Builder
	comparisons comparisons
	seen        map[*output]bool
	reported    map[*envoy.Shared]bool // whose problems there are already: those of a namespace, not of each of its workloads
	problems    []mesh.Problem
}

func (p *push) output(class *scope.ProxyClass) *output {
	out := p.views.output(p.builder, p.views.scopes.Scope(class))
	if !p.seen[out] {
		p.seen[out] = true
		p.problems = append(p.problems, out.problems...)
		if !p.reported[out.shared] {
			p.reported[out.shared] = true
			p.problems = append(p.problems, out.shared.Problems()...)
		}
	}
	return out
}
