package server

import (
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// connection is one stream's place in the fan-out: what its proxy should have, and the session that takes it there. The
// stream's goroutine works the session; pushes and the debug endpoint come from others.
type connection struct {
	proxy      mesh.Proxy
	since      time.Time
	wake       chan struct{} // has a value when there is something to take
	expired    chan struct{} // closed when the pod is gone
	once       sync.Once
	update     pendingUpdate
	quota      *podQuota // with the other streams of the pod
	rejections rejectionLog

	viewing sync.Mutex // a new stream and a push may run at the same time
	view    *mesh.ProxyView
	class   *scope.ProxyClass // of view

	working sync.Mutex // held while the session works, and then for the lock of offers
	session *Session
	offered time.Time // when the offer was made that is being sent
	behind  time.Time // see ackState

	ackState atomic.Pointer[ackState]
}

func newConnection(proxy mesh.Proxy) *connection {
	c := &connection{
		proxy: proxy, since: time.Now(), wake: make(chan struct{}, 1), expired: make(chan struct{}), session: NewSession(nil),
		quota: &podQuota{}, rejections: newRejectionLog(),
	}
	c.updateAckState()
	return c
}

// classIn returns the class of the proxy in a snapshot. If the pod is not there, or is another than the one that was
// authenticated, it returns nil and the stream ends.
func (c *connection) classIn(snapshot *mesh.Snapshot) *scope.ProxyClass {
	c.viewing.Lock()
	defer c.viewing.Unlock()
	now := snapshot.UpdateProxy(c.view, c.proxy.Namespace, c.proxy.Name)
	if now == nil || now.Proxy.UID != c.proxy.UID || now.Proxy.Account != c.proxy.Account {
		c.expire()
		return nil
	}
	if now != c.view {
		c.view, c.class = now, scope.ClassOf(*now.Proxy)
	}
	return c.class
}

// setUpdate hands over the set of a generation, and wakes the stream if anything of it has to be sent.
func (c *connection) setUpdate(generation uint64, set *resource.Set, compare func(from, to *resource.Set) Change) {
	if !c.update.put(generation, set, compare) {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next returns the next response to send, of the newest set, or nil. When nothing is left of an offer it returns when that
// offer was made.
func (c *connection) next() (r *discovery.DeltaDiscoveryResponse, done time.Time) {
	c.working.Lock()
	defer c.working.Unlock()
	if !c.refresh() { // expired before it was offered anything: what the proxy kept is not to be taken away
		return nil, time.Time{}
	}
	if r = c.session.Next(); r == nil {
		done, c.offered = c.offered, time.Time{}
	} else {
		c.recordSent()
	}
	return r, done
}

// request takes one message of the proxy, or an error instead if it would have to remember too much of it.
func (c *connection) request(r *discovery.DeltaDiscoveryRequest) (*Rejection, error) {
	c.working.Lock()
	defer c.working.Unlock()
	before, most := c.session.Held(), requestSize(r)
	if err := c.quota.take(most); err != nil {
		return nil, err
	}
	c.refresh()
	rejection := c.session.Request(r)
	c.recordRequest()
	c.quota.give(before + most - c.session.Held())
	return rejection, nil
}

// leave gives back what the session held.
func (c *connection) leave() {
	c.working.Lock()
	defer c.working.Unlock()
	c.quota.give(c.session.Held())
}

// refresh takes the last offer and reports whether there ever was one. It comes before a request too: the first one compares
// what the proxy kept with the set.
func (c *connection) refresh() bool {
	set, change, since, fresh := c.update.take()
	if fresh {
		c.session.Update(set, change)
	}
	if !since.IsZero() {
		c.offered = since
	}
	return set != nil
}

// expire ends the stream, because its pod is not the one any more that was authenticated.
func (c *connection) expire() { c.once.Do(func() { close(c.expired) }) }

func (c *connection) status() map[resource.Type]Status {
	c.working.Lock()
	defer c.working.Unlock()
	return c.session.Status()
}
