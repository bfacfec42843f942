package server

import (
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// offers is what pushes have for a connection. Its lock is held for as long as it takes to write that down and never while a
// session works: a push asks every connection in turn, and whatever a client makes its session do must not hold it up.
type offers struct {
	mu         sync.Mutex
	generation uint64        // of the last one
	set        *resource.Set // of the last one
	waiting    bool          // the last one has not been taken yet
	change     Change        // from what was taken last
	since      time.Time     // since when something waits that the proxy has to be told of; zero: nothing does

	tried   uint64 // the newest generation that there was an offer of, or a mistake instead
	mistake string // why the newest configuration was not offered

	placed *mesh.Proxy // that place is of
	place  *scope.Place
}

// placeOf is the place of the connection's proxy as it is described now.
func (o *offers) placeOf(proxy *mesh.Proxy) *scope.Place {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.placed != proxy {
		o.placed, o.place = proxy, scope.PlaceOf(*proxy)
	}
	return o.place
}

// put notes the set of a generation and returns whether the proxy has to be told of it; compare tells what differs from
// another set. An offer that was not taken yet is replaced, and one that is older than the last is ignored: a new stream and
// a push may overtake each other.
func (o *offers) put(generation uint64, set *resource.Set, compare func(from, to *resource.Set) Change) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if generation <= o.generation {
		return false
	}
	o.generation = generation
	if set == o.set {
		return false
	}
	change := compare(o.set, set)
	o.set = set
	if o.waiting {
		change = o.change.Merge(change)
	}
	o.change, o.waiting = change, true
	if change.empty() {
		return false
	}
	if o.since.IsZero() {
		o.since = time.Now()
	}
	return true
}

// take hands over the last offer, if there is one that was not taken.
func (o *offers) take() (set *resource.Set, change Change, since time.Time, fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	set, change, since, fresh = o.set, o.change, o.since, o.waiting
	o.change, o.since, o.waiting = nil, time.Time{}, false
	return set, change, since, fresh
}

// waitingSince is when the first offer was made that the proxy has to be told of and that was not taken; zero: there is none.
func (o *offers) waitingSince() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// resources are those that the proxy should have.
func (o *offers) resources() *resource.Set {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.set
}
