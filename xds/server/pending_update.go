package server

import (
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// pendingUpdate is what pushes have for a connection. Its lock is held for as long as it takes to write that down and never while a
// session works: a push asks every connection in turn, and whatever a client makes its session do must not hold it up.
type pendingUpdate struct {
	mu         sync.Mutex
	generation uint64        // of the last one
	set        *resource.Set // of the last one
	waiting    bool          // the last one has not been taken yet
	change     Change        // from what was taken last
	since      time.Time     // when the oldest change that has to be sent arrived; zero: none waits

	tried   uint64 // the newest generation that there was an update of, or a panic instead
	failure string // why the newest configuration is not here
}

// put stores the set of a generation and returns whether anything of it has to be sent; compare returns the difference of two
// sets. An update that was not taken yet is replaced, and one that is older than the last is ignored: a new stream and a push may
// overtake each other.
func (u *pendingUpdate) put(generation uint64, set *resource.Set, compare func(from, to *resource.Set) Change) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if generation <= u.generation {
		return false
	}
	u.generation = generation
	if set == u.set {
		return false
	}
	change := compare(u.set, set)
	u.set = set
	if u.waiting {
		change = u.change.Merge(change)
	}
	u.change, u.waiting = change, true
	if change.empty() {
		return false
	}
	if u.since.IsZero() {
		u.since = time.Now()
	}
	return true
}

// take hands over the last offer, if there is one that was not taken.
func (u *pendingUpdate) take() (set *resource.Set, change Change, since time.Time, fresh bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	set, change, since, fresh = u.set, u.change, u.since, u.waiting
	u.change, u.since, u.waiting = nil, time.Time{}, false
	return set, change, since, fresh
}

// pendingSince is when the oldest update that has to be sent and was not taken arrived; zero: there is none.
func (u *pendingUpdate) pendingSince() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.since
}

// resources are those that the proxy should have.
func (u *pendingUpdate) resources() *resource.Set {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.set
}
