package server

import (
	"fmt"
	"sync/atomic"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// A client of the mesh may be hostile all the same: name resources that there are not, and accept nothing that it is told.
// What it makes pilot remember is bounded for all streams of its pod together. What pilot has sent is not counted: a proxy
// that is slow while a large mesh is replaced has done nothing wrong.
const (
	// mostHeld is enough for 100,000 names of the usual length; the largest message has room for a third of that, with the
	// versions of a proxy that comes back.
	mostHeld = 32 << 20
	// perName is about what a session takes for a name besides its letters: an entry in each of three maps.
	perName = 200
	// longestVersion is the length of our own, a hash of 64 bits in hexadecimal.
	longestVersion = 16
)

func sizeOf(name string) int { return perName + len(name) }

// mostOf is what r can make a session hold.
func mostOf(r *discovery.DeltaDiscoveryRequest) int {
	size := 0
	for _, name := range r.GetResourceNamesSubscribe() {
		size += sizeOf(name)
	}
	for name := range r.GetInitialResourceVersions() {
		size += sizeOf(name)
	}
	return size
}

// share is what the streams of one pod have together.
type share struct {
	streams int // guarded by the server's lock
	held    atomic.Int64
}

// take books n bytes before they are needed.
func (s *share) take(n int) error {
	if s.held.Add(int64(n)) > mostHeld {
		s.give(n)
		return fmt.Errorf("the streams of one pod may name resources for %d MiB", mostHeld>>20)
	}
	return nil
}

func (s *share) give(n int) { s.held.Add(-int64(n)) }
