// Package dataplane polls all pilots for the number of proxies in the mesh, once a minute, or every two seconds while Ready waits
// for the proxies. Pilot watches the pods of the whole cluster anyway; the operator would need permission to.
package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/names"
)

const (
	// pollInterval is how often pilots are polled, and so how often status.dataPlane can change.
	pollInterval     = time.Minute
	oftenInterval    = 2 * time.Second // while Ready waits for the proxies
	requestTimeout   = 5 * time.Second
	maxResponseBytes = 4 << 20
)

// Poller polls the pilots. The reconciler gives it their pods.
type Poller struct {
	log     *slog.Logger
	changed func() // called when the result changed
	client  *http.Client

	wake chan struct{} // the interval has changed

	mu      sync.Mutex
	targets []string // addresses, sorted
	often   bool
	result  Result
}

// Result is what the last poll returned.
type Result struct {
	Polled  bool    // false: not yet, since this operator became the leader or the mesh was replaced
	Proxies *Counts // nil: no pilot is ready, or not all answered
}

// Counts are numbers of proxies.
type Counts struct {
	Sidecars map[string]int // by version of the sidecar
	Gateways int
	Synced   int // connected, with the newest configuration accepted
}

// NewPoller returns a Poller that calls changed when its result changed. It starts nothing.
func NewPoller(log *slog.Logger, changed func()) *Poller {
	return &Poller{log: log, changed: changed, wake: make(chan struct{}, 1), client: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true}, // no HTTP proxy: pods are called directly
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Start polls until ctx ends.
func (p *Poller) Start(ctx context.Context) error {
	ticker := time.NewTicker(p.interval())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			ticker.Reset(p.interval())
		case <-ticker.C:
			p.poll(ctx)
		}
	}
}

func (p *Poller) interval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.often {
		return oftenInterval
	}
	return pollInterval
}

// PollOften sets whether the pilots are polled every two seconds. When that begins, earlier numbers are dropped: they say
// nothing about what is waited for.
func (p *Poller) PollOften(often bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.often == often {
		return
	}
	if p.often = often; often {
		p.result = Result{}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// NeedLeaderElection is true: a replica that does not lead writes no status.
func (p *Poller) NeedLeaderElection() bool { return true }

// Update sets the pods of pilot to poll from now on, and returns the last result.
func (p *Poller) Update(pilots []*corev1.Pod) Result {
	var targets []string
	for _, pod := range pilots {
		if pod.DeletionTimestamp == nil && isReady(pod) && pod.Status.PodIP != "" {
			targets = append(targets, net.JoinHostPort(pod.Status.PodIP, names.MonitoringPort))
		}
	}
	slices.Sort(targets)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = targets
	return p.result
}

// Reset drops targets and result, because the mesh was removed or replaced.
func (p *Poller) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets, p.result = nil, Result{}
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// poll polls all pilots once. If one of them fails, the counts are unknown.
func (p *Poller) poll(ctx context.Context) {
	p.mu.Lock()
	targets, before := p.targets, p.result
	p.mu.Unlock()
	now := Result{Polled: true}
	sum, err := p.sum(ctx, targets)
	if err == nil {
		now.Proxies = &sum
	}
	if ctx.Err() != nil || before.Polled && before.Proxies.equal(now.Proxies) {
		return
	}
	if err != nil && len(targets) > 0 {
		p.log.Warn("cannot poll pilot for its proxies, status.dataPlane is empty", "error", err)
	}
	if p.store(now, len(targets)) {
		p.changed()
	}
}

// store keeps a result, unless the targets were reset meanwhile: it is not about the mesh that comes next.
func (p *Poller) store(now Result, polled int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if polled > 0 && len(p.targets) == 0 {
		return false
	}
	p.result = now
	return true
}

// sum adds up the responses: every pilot counts all pods, and only its own connections.
func (p *Poller) sum(ctx context.Context, targets []string) (Counts, error) {
	if len(targets) == 0 {
		return Counts{}, errors.New("no pilot is ready")
	}
	var out Counts
	synced := 0
	for _, pilot := range targets {
		page, err := p.get(ctx, pilot)
		if err != nil {
			return Counts{}, fmt.Errorf("poll pilot: %w", err)
		}
		if out, err = parseCounts(page); err != nil {
			return Counts{}, fmt.Errorf("poll pilot: %s: %w", pilot, err)
		}
		synced += out.Synced
	}
	out.Synced = synced
	return out, nil
}

func (p *Poller) get(ctx context.Context, pilot string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pilot+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", pilot, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
}

// All is the number of proxies.
func (c *Counts) All() int {
	all := c.Gateways
	for _, n := range c.Sidecars {
		all += n
	}
	return all
}

// Outdated is the number of sidecars of another version than this one.
func (c *Counts) Outdated(version string) int { return c.All() - c.Gateways - c.Sidecars[version] }

// NotSynced is the number of proxies without the newest configuration.
func (c *Counts) NotSynced() int { return max(0, c.All()-c.Synced) }

func (c *Counts) equal(other *Counts) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.Gateways == other.Gateways && c.Synced == other.Synced && maps.Equal(c.Sidecars, other.Sidecars)
}
