package envoy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// moody is a server that fails as its paths ask for: the first requests of a path such as /rule/2x503 get that status, or no
// answer at all for /rule/2xhang; those after them get 200.
type moody struct {
	mu   sync.Mutex
	seen map[string]int
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.seen[r.URL.Path]++
	n := m.seen[r.URL.Path]
	m.mu.Unlock()
	_, how, _ := strings.Cut(r.URL.Path[1:], "/")
	count, mood, _ := strings.Cut(how, "x")
	failures, _ := strconv.Atoi(count)
	status, _ := strconv.Atoi(mood)
	switch {
	case n > failures:
		fmt.Fprint(w, "fine")
	case mood == "hang":
		<-r.Context().Done()
	default:
		http.Error(w, "as it was told", status)
	}
}

func (m *moody) requests(path string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[path]
}

// TestTimeoutsAndRetries sends requests through a real Envoy to a server that fails, and counts what arrives there.
func TestTimeoutsAndRetries(t *testing.T) {
	server := &moody{seen: map[string]int{}}
	backend := httptest.NewServer(server)
	t.Cleanup(backend.Close)
	client := startOutbound(t, reviewsMesh(map[string]string{"v1": backend.Listener.Addr().String()})+rulesOfReviews("", `
  - {match: [{uri: {prefix: /timeout/}}], timeout: 2s, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /retry/}}], retries: {attempts: 2, retryOn: 5xx}, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /code/}}], retries: {attempts: 2, retryOn: "connect-failure,503"}, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /unseen/}}], retries: {attempts: 2}, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /none/}}], retries: {attempts: 0, retryOn: 5xx}, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /try/}}], retries: {attempts: 2, perTryTimeout: 2s, retryOn: 5xx}, route: [{destination: {host: reviews}}]}
  - route: [{destination: {host: reviews}}]`), "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
	for path, c := range map[string]struct {
		want     string
		requests int
	}{
		"/timeout/0x500":  {"200 fine", 1},
		"/timeout/1xhang": {"504 upstream request timeout", 1},
		"/retry/1x500":    {"200 fine", 2},
		"/retry/2x503":    {"200 fine", 3},
		"/retry/9x503":    {"503 as it was told\n", 3},
		"/retry/9x404":    {"404 as it was told\n", 1},
		"/code/1x503":     {"200 fine", 2},
		"/code/1x500":     {"500 as it was told\n", 1},
		"/unseen/1x503":   {"503 as it was told\n", 1},
		"/none/1x503":     {"503 as it was told\n", 1},
		"/try/1xhang":     {"200 fine", 2},
		"/try/9xhang":     {"504 upstream request timeout", 3},
		"/usual/1x503":    {"503 as it was told\n", 1},
	} {
		t.Run(strings.Trim(path, "/"), func(t *testing.T) {
			if got := client.get(t, path, nil).String(); got != c.want {
				t.Errorf("GET %s = %q, want %q", path, got, c.want)
			}
			if got := server.requests(path); got != c.requests {
				t.Errorf("the server saw %d requests, want %d", got, c.requests)
			}
		})
	}
}

// rulesOfReviews are a rule with subsets and a VirtualService with routes, both of the service reviews.
func rulesOfReviews(subsets, routes string) string {
	return fmt.Sprintf(`
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec:
  host: reviews
  subsets: [%s]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: reviews}
spec:
  hosts: [reviews]
  http:%s
`, subsets, routes)
}

// TestMatches sends requests that differ in one thing through a real Envoy.
func TestMatches(t *testing.T) {
	client := startOutbound(t, reviewsMesh(map[string]string{"v1": serve(t, "v1"), "v2": serve(t, "v2")})+rulesOfReviews(
		`{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}`, `
  - match:
    - {method: {exact: POST}}
    - {authority: {exact: "reviews.default:9080"}}
    - {authority: {prefix: reviews.default.svc.}}
    - {uri: {prefix: /mine}, sourceLabels: {security.istio.io/tlsMode: istio}}
    - {uri: {prefix: /theirs}, sourceLabels: {app: stranger}}
    - {uri: {prefix: /both}, method: {regex: "PUT|PATCH"}}
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: reviews, subset: v1}}]`), "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
	for name, c := range map[string]struct{ method, host, path, want string }{
		"nothing":            {"GET", "reviews:9080", "/", "v1 /"},
		"method":             {"POST", "reviews:9080", "/", "v2 /"},
		"another method":     {"PUT", "reviews:9080", "/", "v1 /"},
		"authority":          {"GET", "reviews.default:9080", "/", "v2 /"},
		"authority's prefix": {"GET", "reviews.default.svc.cluster.local:9080", "/", "v2 /"},
		"another authority":  {"GET", "reviews.default.svc:9080", "/", "v1 /"},
		"labels of mine":     {"GET", "reviews:9080", "/mine", "v2 /mine"},
		"labels of others":   {"GET", "reviews:9080", "/theirs", "v1 /theirs"},
		"one of two":         {"GET", "reviews:9080", "/both", "v1 /both"},
		"both":               {"PATCH", "reviews:9080", "/both", "v2 /both"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := client.ask(t, c.method, c.host, c.path, nil); got.status != 200 || got.body != c.want {
				t.Errorf("%s %s%s = %v, want 200 %s", c.method, c.host, c.path, got, c.want)
			}
		})
	}
}

// TestFaultPercentage counts faults that are for some requests only, in both spellings.
func TestFaultPercentage(t *testing.T) {
	client := startOutbound(t, reviewsMesh(map[string]string{"v1": serve(t, "v1")})+rulesOfReviews("", `
  - {match: [{uri: {prefix: /half}}], fault: {abort: {percent: 50, httpStatus: 418}}, route: [{destination: {host: reviews}}]}
  - {match: [{uri: {prefix: /eighth}}], fault: {abort: {percentage: {value: 12.5}, httpStatus: 418}}, route: [{destination: {host: reviews}}]}
  - route: [{destination: {host: reviews}}]`), "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
	for path, bounds := range map[string][2]int{ // 400 draws; five standard deviations
		"/half":   {150, 250},
		"/eighth": {17, 83},
		"/other":  {0, 0},
	} {
		seen := map[int]int{}
		for range 400 {
			seen[client.get(t, path, nil).status]++
		}
		if failed := seen[418]; failed < bounds[0] || failed > bounds[1] || seen[200]+failed != 400 {
			t.Errorf("GET %s: statuses %v, want %d to %d of 418", path, seen, bounds[0], bounds[1])
		}
	}
}

// TestOverflow holds requests at the server: what is beyond the limits of the connection pool is refused at once, and the log
// names the circuit breaker.
func TestOverflow(t *testing.T) {
	for name, pool := range map[string]string{
		"one connection and one that waits": `{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}`,
		"two requests":                      `{http: {http2MaxRequests: 2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			entered, held := make(chan struct{}, 8), make(chan struct{})
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				entered <- struct{}{}
				<-held
				fmt.Fprint(w, "served")
			}))
			t.Cleanup(backend.Close)
			release := sync.OnceFunc(func() { close(held) })
			t.Cleanup(release)
			log := filepath.Join(t.TempDir(), "access.log")
			client, envoy := runOutbound(t, reviewsMesh(map[string]string{"v1": backend.Listener.Addr().String()})+fmt.Sprintf(`
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: 'accessLogFile: %s'}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec: {host: reviews, trafficPolicy: {connectionPool: %s}}
`, log, pool), "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
			answers := make(chan answer, 8)
			send := func() { answers <- client.get(t, "/", nil) }
			go send()
			wait(t, "the first request arrives", entered)
			for range 7 {
				go send()
			}
			for range 6 {
				if got := wait(t, "an answer beyond the limit", answers); got.status != 503 || !strings.Contains(got.body, "overflow") {
					t.Errorf("beyond the limit: %v, want 503 for an overflow", got)
				}
			}
			wantLogged(envoy, log, " 503 UO ")
			release()
			for range 2 {
				if got := wait(t, "an answer within the limit", answers).String(); got != "200 served" {
					t.Errorf("within the limit: %s", got)
				}
			}
		})
	}
}

// wait takes the next value of a channel.
func wait[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: it does not happen", what)
	}
	return value
}
