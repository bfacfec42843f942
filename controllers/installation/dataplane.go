package installation

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

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const (
	// dataPlaneInterval is how often pilots are asked, and so how often status.dataPlane can change.
	dataPlaneInterval = time.Minute
	requestTimeout    = 5 * time.Second
	maxResponseBytes  = 4 << 20
	monitoringPort    = "15014"
)

// dataPlane asks all pilots, once in a while, about the proxies of the mesh. Pilot watches the pods of the whole cluster
// anyway; the operator would have to be allowed to.
type dataPlane struct {
	log     *slog.Logger
	changed func() // called when the answer is another one
	client  *http.Client

	mu      sync.Mutex
	targets []string // addresses, sorted
	result  dataPlaneResult
}

// dataPlaneResult is what the pilots said last.
type dataPlaneResult struct {
	Polled  bool         // false: not yet, since this operator began to lead
	Proxies *proxyCounts // nil: there is nobody to ask, or not all answered
}

func newDataPlane(log *slog.Logger, changed func()) *dataPlane {
	return &dataPlane{log: log, changed: changed, client: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: pods are asked directly
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Start asks until ctx ends.
func (d *dataPlane) Start(ctx context.Context) error {
	ticker := time.NewTicker(dataPlaneInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.poll(ctx)
		}
	}
}

// NeedLeaderElection is true: who does not lead writes no status.
func (d *dataPlane) NeedLeaderElection() bool { return true }

// Update says which pilots to ask from now on, and returns the last answer.
func (d *dataPlane) Update(pods []*corev1.Pod) dataPlaneResult {
	var targets []string
	for _, pod := range pods {
		if pod.Labels[owner.LabelComponent] == componentPilot && pod.DeletionTimestamp == nil && isReady(pod) && pod.Status.PodIP != "" {
			targets = append(targets, net.JoinHostPort(pod.Status.PodIP, monitoringPort))
		}
	}
	slices.Sort(targets)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets = targets
	return d.result
}

// Forget drops pilots and answer, because there is no mesh any more.
func (d *dataPlane) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets, d.result = nil, dataPlaneResult{}
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// poll asks all pilots once. What is not known from all of them is not known.
func (d *dataPlane) poll(ctx context.Context) {
	d.mu.Lock()
	targets, before := d.targets, d.result
	d.mu.Unlock()
	now := dataPlaneResult{Polled: true}
	sum, err := d.sum(ctx, targets)
	if err == nil {
		now.Proxies = &sum
	}
	if ctx.Err() != nil || before.Polled && before.Proxies.equal(now.Proxies) {
		return
	}
	if err != nil && len(targets) > 0 {
		d.log.Warn("cannot ask pilot about its proxies, status.dataPlane is empty", "error", err)
	}
	if d.store(now, len(targets)) {
		d.changed()
	}
}

// store keeps an answer, unless all who were asked have gone meanwhile: another mesh must not begin with it.
func (d *dataPlane) store(now dataPlaneResult, polled int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if polled > 0 && len(d.targets) == 0 {
		return false
	}
	d.result = now
	return true
}

// sum puts the answers together: of the pods every pilot knows all, of the connections its own.
func (d *dataPlane) sum(ctx context.Context, targets []string) (proxyCounts, error) {
	if len(targets) == 0 {
		return proxyCounts{}, errors.New("no pilot is ready")
	}
	var out proxyCounts
	synced := 0
	for _, pilot := range targets {
		page, err := d.get(ctx, pilot)
		if err != nil {
			return proxyCounts{}, fmt.Errorf("ask pilot: %w", err)
		}
		if out, err = parseProxyCounts(page); err != nil {
			return proxyCounts{}, fmt.Errorf("ask pilot: %s: %w", pilot, err)
		}
		synced += out.Synced
	}
	out.Synced = synced
	return out, nil
}

func (d *dataPlane) get(ctx context.Context, pilot string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pilot+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", pilot, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
}

// dataPlaneStatus compares what pods run with the sidecar that they would get now. What was known stays until somebody has
// been asked again, so that a new leader changes nothing.
func dataPlaneStatus(old *v1alpha1.DataPlaneStatus, out Outcome) *v1alpha1.DataPlaneStatus {
	if !out.DataPlane.Polled {
		return old
	}
	p := out.DataPlane.Proxies
	if p == nil {
		return nil
	}
	sidecars := 0
	for _, count := range p.Sidecars {
		sidecars += count
	}
	all := p.Gateways + sidecars
	return &v1alpha1.DataPlaneStatus{
		Proxies: int32(all), Outdated: int32(sidecars - p.Sidecars[out.Plan.SidecarVersion]), //nolint:gosec // counts of pods
		NotSynced: int32(max(0, all-p.Synced)), //nolint:gosec // a count of pods
	}
}

// proxyCounts is what a pilot says about proxies.
type proxyCounts struct {
	Sidecars map[string]int // by version of the sidecar
	Gateways int
	Synced   int // connected and in step
}

func (p *proxyCounts) equal(other *proxyCounts) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Gateways == other.Gateways && p.Synced == other.Synced && maps.Equal(p.Sidecars, other.Sidecars)
}
