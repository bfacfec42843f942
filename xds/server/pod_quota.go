package server

import (
	"fmt"
	"sync/atomic"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// A client of the mesh may be hostile all the same: name resources that there are not, and accept no response.
// What it makes pilot remember is bounded for all streams of its pod together. What pilot has sent is not counted: a proxy
// that is slow while a large mesh is replaced has done nothing wrong.
const (
	// maxHeldBytes is enough for 100,000 names of the usual length; the largest message has room for a third of that, with the
	// versions of a proxy that comes back.
	maxHeldBytes = 32 << 20
	// nameOverhead is about what a session takes for a name besides its letters: an entry in each of three maps.
	nameOverhead = 200
	// maxVersionLength is the length of our own, a hash of 64 bits in hexadecimal.
	maxVersionLength = 16
)

func nameSize(name string) int { return nameOverhead + len(name) }

// requestSize is what r can make a session hold.
func requestSize(r *discovery.DeltaDiscoveryRequest) int {
	size := 0
	for _, name := range r.GetResourceNamesSubscribe() {
		size += nameSize(name)
	}
	for name := range r.GetInitialResourceVersions() {
		size += nameSize(name)
	}
	return size
}

// podQuota is what the streams of one pod have together.
type podQuota struct {
	streams int // guarded by the server's lock
	held    atomic.Int64
}

// take books n bytes before they are needed.
func (q *podQuota) take(n int) error {
	if q.held.Add(int64(n)) > maxHeldBytes {
		q.give(n)
		return fmt.Errorf("the streams of one pod may name resources for %d MiB", maxHeldBytes>>20)
	}
	return nil
}

func (q *podQuota) give(n int) { q.held.Add(-int64(n)) }
