package server

import (
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// connection is one stream's place in the fan-out: what its proxy should have, and the session that takes it there. The
// stream's goroutine works the session; pushes and the debug endpoint come from others.
type connection struct {
	proxy   mesh.Proxy
	since   time.Time
	wake    chan struct{} // has a value when there is something to take
	expired chan struct{} // closed when the pod is gone

	mu         sync.Mutex
	session    *Session
	generation uint64        // of the last offer
	set        *resource.Set // of the last offer
	waiting    bool          // the offer has not been taken yet
	change     Change        // from what was taken last
	offered    time.Time
	behind     time.Time // since when there is a response that the proxy has not accepted; zero: there is none
	once       sync.Once

	mistake string // why the newest configuration was not offered

	placed *mesh.Proxy // that place is of
	place  *scope.Place
}

func newConnection(proxy mesh.Proxy) *connection {
	return &connection{
		proxy: proxy, since: time.Now(), wake: make(chan struct{}, 1), expired: make(chan struct{}), session: NewSession(nil),
	}
}

// proxyIn is the proxy in a snapshot. If it is not there, or the pod of its name is another than the one that was
// authenticated, the stream ends.
func (c *connection) proxyIn(snapshot *mesh.Snapshot) *mesh.Proxy {
	proxy, ok := snapshot.Proxy(c.proxy.Namespace, c.proxy.Name)
	if !ok || proxy.UID != c.proxy.UID || proxy.Account != c.proxy.Account {
		c.expire()
		return nil
	}
	return proxy
}

// placeOf is the place of the connection's proxy as it is described now.
func (c *connection) placeOf(proxy *mesh.Proxy) *scope.Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.placed != proxy {
		c.placed, c.place = proxy, scope.PlaceOf(*proxy)
	}
	return c.place
}

// offer hands over the set of a generation; compare tells what differs from another set. An offer that was not taken yet is
// replaced, and one that is older than the last is ignored: a new stream and a push may overtake each other.
func (c *connection) offer(generation uint64, set *resource.Set, compare func(from, to *resource.Set) Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation <= c.generation {
		return
	}
	c.generation = generation
	if set == c.set {
		return
	}
	change := compare(c.set, set)
	c.set = set
	if change != nil && len(change) == 0 && !c.waiting {
		c.session.Update(set, change)
		return
	}
	if c.waiting {
		change = c.change.Merge(change)
	} else {
		c.offered = time.Now()
	}
	c.change, c.waiting = change, true
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next returns the next response to send, of the newest set, or nil. When nothing is left of an offer it returns when that
// offer was made.
func (c *connection) next() (r *discovery.DeltaDiscoveryResponse, done time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil { // expired before it was offered anything: what the proxy kept is not to be taken away
		return nil, time.Time{}
	}
	c.refresh()
	if r = c.session.Next(); r == nil {
		done, c.offered = c.offered, time.Time{}
	} else {
		c.noteSent()
	}
	return r, done
}

func (c *connection) request(r *discovery.DeltaDiscoveryRequest) (*Rejection, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	rejection := c.session.Request(r)
	c.noteRequest()
	return rejection, c.session.Size()
}

// refresh takes the last offer. It comes before a request too: the first one compares what the proxy kept with the set.
func (c *connection) refresh() {
	if c.waiting {
		c.session.Update(c.set, c.change)
		c.waiting, c.change = false, nil
	}
}

// expire ends the stream, because its pod is not the one any more that was authenticated.
func (c *connection) expire() { c.once.Do(func() { close(c.expired) }) }

func (c *connection) status() map[resource.Type]Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.Status()
}

func (c *connection) resources() *resource.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set
}
