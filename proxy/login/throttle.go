package login

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/backoff"
)

const (
	freeFailures = 3 // typing errors
	maxAddresses = 10_000
)

// growth is the wait after each further wrong password of one address.
var growth = backoff.Growth{First: time.Second, Longest: time.Minute, Factor: 2}

// forgetAfter is how long failures count after the last one.
const forgetAfter = 15 * time.Minute

// throttle slows clients that send wrong passwords, by address. During a wait nothing is compared, so a correct password gets
// the same answer as a wrong one.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	failures map[string]*failures
}

type failures struct {
	count int
	delay time.Duration
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, failures: map[string]*failures{}}
}

// wait returns how long the address has to wait.
func (t *throttle) wait(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f, ok := t.failures[t.key(address)]; ok {
		return max(0, f.last.Add(f.delay).Sub(t.now()))
	}
	return 0
}

func (t *throttle) failed(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	key := t.key(address)
	f, ok := t.failures[key]
	if !ok || now.Sub(f.last) > forgetAfter {
		f = &failures{}
		t.failures[key] = f
	}
	f.last = now
	if f.count++; f.count >= freeFailures {
		f.delay = growth.Next(f.delay)
	}
}

func (t *throttle) succeeded(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failures, address)
}

// key bounds the memory: beyond the limit all new addresses are one.
func (t *throttle) key(address string) string {
	if _, known := t.failures[address]; known || len(t.failures) < maxAddresses {
		return address
	}
	for a, f := range t.failures {
		if t.now().Sub(f.last) > forgetAfter {
			delete(t.failures, a)
		}
	}
	if len(t.failures) < maxAddresses {
		return address
	}
	return ""
}

// clientOf is the client's address, or its IPv6 network: one client has all addresses of a network. What a header says is anybody's
// word.
func clientOf(r *http.Request) string {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := address.Addr().Unmap()
	if ip.Is6() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
