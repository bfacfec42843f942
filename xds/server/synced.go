package server

import (
	"time"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// acceptTimeout is how long a proxy may take to accept a response: some are always about to.
const acceptTimeout = 10 * time.Second

// Synced returns the pods whose proxies are connected and have accepted the newest configuration, or are about to.
func (s *Server) Synced() map[mesh.Name]bool {
	out := map[mesh.Name]bool{}
	for _, c := range s.connected() {
		if s.updateError(c) == "" && c.synced(time.Now()) {
			out[mesh.Name{Namespace: c.proxy.Namespace, Name: c.proxy.Name}] = true
		}
	}
	return out
}

// ackState is where a proxy is with what it was sent, for those who ask without waiting for its session.
type ackState struct {
	asked   bool      // for anything
	refuses bool      // it runs without something that it rejected
	behind  time.Time // since when there is a response that it has not accepted; zero: there is none
}

func (c *connection) synced(now time.Time) bool {
	late := func(since time.Time) bool { return !since.IsZero() && now.Sub(since) >= acceptTimeout }
	at := c.ackState.Load()
	if at.refuses || late(at.behind) || late(c.update.pendingSince()) {
		return false
	}
	return at.asked || !late(c.since)
}

// recordSent remembers since when the proxy has something to accept.
func (c *connection) recordSent() {
	if c.behind.IsZero() {
		c.behind = time.Now()
	}
	c.updateAckState()
}

// recordRequest forgets it when the proxy has accepted everything.
func (c *connection) recordRequest() {
	defer c.updateAckState()
	for _, sub := range c.session.types {
		if sub.pending != nil {
			return
		}
	}
	c.behind = time.Time{}
}

func (c *connection) updateAckState() {
	c.ackState.Store(&ackState{asked: len(c.session.types) > 0, refuses: c.session.refuses(), behind: c.behind})
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
