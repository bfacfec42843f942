package server

import (
	"time"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// patience is how long a proxy may take to accept a response: some are always about to.
const patience = 10 * time.Second

// Synced returns the pods whose proxies are connected and have accepted the newest configuration, or are about to.
func (s *Server) Synced() map[mesh.Name]bool {
	out := map[mesh.Name]bool{}
	for _, c := range s.connected() {
		if s.lacking(c) == "" && c.synced(time.Now()) {
			out[mesh.Name{Namespace: c.proxy.Namespace, Name: c.proxy.Name}] = true
		}
	}
	return out
}

func (c *connection) synced(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := func(since time.Time) bool { return now.Sub(since) >= patience }
	switch {
	case c.session.refuses():
		return false
	case c.waiting && late(c.offered):
		return false
	case !c.behind.IsZero() && late(c.behind):
		return false
	}
	return len(c.session.types) > 0 || !late(c.since)
}

// noteSent remembers since when the proxy has something to accept.
func (c *connection) noteSent() {
	if c.behind.IsZero() {
		c.behind = time.Now()
	}
}

// noteRequest forgets it when the proxy has accepted everything.
func (c *connection) noteRequest() {
	for _, sub := range c.session.types {
		if sub.pending != nil {
			return
		}
	}
	c.behind = time.Time{}
}

// refuses reports whether the proxy runs without something that it should have, because it rejected it.
func (s *Session) refuses() bool {
	for _, sub := range s.types {
		if len(sub.rejected) > 0 {
			return true
		}
	}
	return false
}
