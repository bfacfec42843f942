package telemetry

import (
	"cmp"
	"slices"
	"sync"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

// upstreams is where each workload sends its traffic, as its proxies logged it, since the process started. A proxy may write any
// destination into its log, so both the workloads and the destinations of one are bounded; the one not seen for longest goes.
type upstreams struct {
	maxWorkloads, maxDestinations int

	mu        sync.Mutex
	workloads map[workload]map[destination]*accesslog.Upstream
}

type destination struct {
	host string
	port int
}

func newUpstreams(maxWorkloads, maxDestinations int) *upstreams {
	return &upstreams{maxWorkloads: maxWorkloads, maxDestinations: maxDestinations, workloads: map[workload]map[destination]*accesslog.Upstream{}}
}

func (u *upstreams) add(w workload, entries []*accesslog.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range entries {
		if host, port, ok := e.Destination(); ok {
			u.count(w, destination{host, port}, e)
		}
	}
}

func (u *upstreams) count(w workload, d destination, e *accesslog.Entry) {
	of := u.workloads[w]
	if of == nil {
		if len(u.workloads) >= u.maxWorkloads {
			u.removeOldest()
		}
		of = map[destination]*accesslog.Upstream{}
		u.workloads[w] = of
	}
	up := of[d]
	if up == nil {
		if len(of) >= u.maxDestinations {
			oldest := slices.MinFunc(sorted(of), bySight)
			delete(of, destination{oldest.Host, oldest.Port})
		}
		up = &accesslog.Upstream{Host: d.host, Port: d.port}
		of[d] = up
	}
	up.Requests++
	if e.Failed() {
		up.Errors++
	}
	if e.Time.After(up.LastSeen) {
		up.LastSeen = e.Time
	}
}

// removeOldest removes the workload that was not seen for longest.
func (u *upstreams) removeOldest() {
	var oldest workload
	var last *accesslog.Upstream
	for w, of := range u.workloads {
		if newest := slices.MaxFunc(sorted(of), bySight); last == nil || newest.LastSeen.Before(last.LastSeen) {
			oldest, last = w, &newest
		}
	}
	delete(u.workloads, oldest)
}

func bySight(a, b accesslog.Upstream) int { return a.LastSeen.Compare(b.LastSeen) }

// of returns the upstreams of a workload by host and port.
func (u *upstreams) of(w workload) []accesslog.Upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	return sorted(u.workloads[w])
}

func sorted(of map[destination]*accesslog.Upstream) []accesslog.Upstream {
	list := make([]accesslog.Upstream, 0, len(of))
	for _, up := range of {
		list = append(list, *up)
	}
	slices.SortFunc(list, func(a, b accesslog.Upstream) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return list
}
