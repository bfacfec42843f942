package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// admin is a client of Envoy's administration interface on loopback. No request contains input of an untrusted client.
type admin struct {
	base   string
	client *http.Client
}

func newAdmin(port uint32) *admin {
	return &admin{base: fmt.Sprintf("http://127.0.0.1:%d", port), client: &http.Client{Timeout: 20 * time.Second}}
}

func (a *admin) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("envoy answers %s to %s", response.Status, path)
	}
	return response.Body, nil
}

// stats returns the counters and gauges whose names match the expression. It must not match histograms.
func (a *admin) stats(ctx context.Context, filter *regexp.Regexp) (map[string]uint64, error) {
	body, err := a.do(ctx, http.MethodGet, "/stats?format=json&filter="+url.QueryEscape(filter.String()))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var answer struct {
		Stats []struct {
			Name  string
			Value uint64
		}
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("decode envoy's stats: %w", err)
	}
	out := map[string]uint64{}
	for _, stat := range answer.Stats {
		out[stat.Name] = stat.Value
	}
	return out, nil
}

var readiness = regexp.MustCompile(`^(server\.state|(cluster_manager\.cds|listener_manager\.lds)\.update_(success|rejected))$`)

// checkReady returns nil when Envoy is live and has its first clusters and listeners.
func (a *admin) checkReady(ctx context.Context) error {
	stats, err := a.stats(ctx, readiness)
	if err != nil {
		return fmt.Errorf("envoy does not answer yet: %w", err)
	}
	return checkStats(stats)
}

// checkStats decides for checkReady. A proxy whose first configuration was rejected never becomes ready: it would reject every
// request or, worse, forward without policy.
func checkStats(stats map[string]uint64) error {
	for _, x := range []struct{ name, manager string }{{"clusters", "cluster_manager.cds"}, {"listeners", "listener_manager.lds"}} {
		switch {
		case stats[x.manager+".update_success"] > 0:
		case stats[x.manager+".update_rejected"] > 0:
			return fmt.Errorf("envoy rejected its first %s: see its log for the reason", x.name)
		default:
			return fmt.Errorf("no %s from pilot yet", x.name)
		}
	}
	if state, ok := stats["server.state"]; !ok || state != 0 {
		return errors.New("envoy is not live yet: its clusters and listeners are warming")
	}
	return nil
}

// drainListeners makes Envoy ask its clients to close their connections, while it continues to serve them.
func (a *admin) drainListeners(ctx context.Context, role Role) error {
	query := "graceful&skip_exit"
	if role == Sidecar {
		query = "inboundonly&" + query // the application may still send requests
	}
	body, err := a.do(ctx, http.MethodPost, "/drain_listeners?"+query)
	if err != nil {
		return fmt.Errorf("drain listeners: %w", err)
	}
	return body.Close()
}

var accepted = regexp.MustCompile(`^listener\..*\.downstream_cx_total$`)

// hadConnections reports whether a port ever accepted a connection. It returns true when Envoy does not answer.
func (a *admin) hadConnections(ctx context.Context, port uint32) bool {
	stats, err := a.stats(ctx, accepted)
	if err != nil {
		return true
	}
	known := false
	for name, n := range stats {
		if strings.HasSuffix(name, fmt.Sprintf("_%d.downstream_cx_total", port)) {
			if n > 0 {
				return true
			}
			known = true
		}
	}
	return !known
}

var active = regexp.MustCompile(`^(http\..*\.downstream_(rq|cx)|listener\..*\.downstream_cx)_active$`)

// inFlight returns the number of requests and connections that would be cut if the proxy ended now: the requests in flight,
// without those to the agent's ports, and for a gateway the connections that do not carry HTTP. Envoy has no counter of those: it
// counts all connections by listener, and HTTP connections by connection manager.
func (a *admin) inFlight(ctx context.Context, role Role) (uint64, error) {
	stats, err := a.stats(ctx, active)
	if err != nil {
		return 0, fmt.Errorf("count requests: %w", err)
	}
	var requests, connections, ofHTTP uint64
	for name, n := range stats {
		prefix, isRequests := strings.CutSuffix(name, ".downstream_rq_active")
		switch {
		case isRequests && !ownPrefixes[prefix]:
			requests += n
		case isRequests, perThread.MatchString(name):
		case strings.HasPrefix(name, "listener."):
			connections += n
		default:
			ofHTTP += n
		}
	}
	if role == Router && connections > ofHTTP {
		requests += connections - ofHTTP
	}
	return requests, nil
}

// perThread matches the per-worker parts of a listener's counter.
var perThread = regexp.MustCompile(`\.(worker_\d+|main_thread)\.downstream_cx_active$`)

var ownPrefixes = map[string]bool{"http.admin": true, "http.prometheus": true, "http.health": true}
