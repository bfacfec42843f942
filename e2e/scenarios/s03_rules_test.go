package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// The rules of the articles, one after another, each observed on real requests from a pod with a sidecar or through the
// ingress gateway.

// reviewsBy asks for the product page count times and counts the versions of reviews seen.
func reviewsBy(ctx context.Context, t *testing.T, count int, header map[string]string) (map[string]int, error) {
	t.Helper()
	url := ingress(t, "http") + "/productpage"
	seen := map[string]int{}
	for range count {
		reply, err := lab.Get(ctx, lab.Request{URL: url, Header: header})
		if err != nil {
			return seen, err
		}
		if reply.Status != 200 {
			return seen, fmt.Errorf("status %d", reply.Status)
		}
		seen[lab.ReviewsVersion(reply.Body)]++
	}
	return seen, nil
}

// onlyReviews waits until pages show one version of reviews and no other.
func onlyReviews(t *testing.T, version string, header map[string]string) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), "all pages show "+version, func(ctx context.Context) error {
		seen, err := reviewsBy(ctx, t, 12, header)
		if err == nil && seen[version] != 12 {
			err = fmt.Errorf("saw %v", seen)
		}
		return err
	}))
}

func TestRuleAllToV1(t *testing.T) {
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-all-v1.yaml")
	onlyReviews(t, "v1", nil)
}

func TestRuleWeights(t *testing.T) {
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 75}
    - {destination: {host: reviews, subset: v2}, weight: 25}
`)
	must(t, lab.Until(within(t, time.Minute), "v3 is no longer seen", func(ctx context.Context) error {
		seen, err := reviewsBy(ctx, t, 10, nil)
		if err == nil && seen["v3"] > 0 {
			err = fmt.Errorf("saw %v", seen)
		}
		return err
	}))
	const count = 200
	seen, err := reviewsBy(within(t, 2*time.Minute), t, count, nil)
	must(t, err)
	// Binomial with p = 0.25: the standard deviation is 6.1; five of them make a false alarm one in a million.
	if v2 := seen["v2"]; v2 < 50-31 || v2 > 50+31 || seen["v1"]+v2 != count {
		t.Errorf("of %d requests %v, want about 150 v1 and 50 v2", count, seen)
	}
}

func TestRuleJasonByCookie(t *testing.T) {
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - match:
    - headers: {cookie: {regex: "^(.*?;)?(user=jason)(;.*)?$"}}
    fault: {abort: {percent: 100, httpStatus: 500}}
    route:
    - destination: {host: ratings, subset: v1}
  - route:
    - destination: {host: ratings, subset: v1}
`)
	eventuallyStatus(t, "jason gets 500", 500, bookinfo, "app=sleep", "sleep", "-H", "cookie: a=b;user=jason", "http://ratings:9080/ratings/0")
	eventuallyStatus(t, "others get 200", 200, bookinfo, "app=sleep", "sleep", "-H", "cookie: user=other", "http://ratings:9080/ratings/0")
}

func TestRuleJasonByHeader(t *testing.T) {
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match:
    - headers: {end-user: {exact: jason}}
    route:
    - destination: {host: reviews, subset: v2}
  - route:
    - destination: {host: reviews, subset: v3}
`)
	onlyReviews(t, "v3", nil)
	onlyReviews(t, "v2", map[string]string{"cookie": "user=jason"})
}

func TestRuleDelay(t *testing.T) {
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {delay: {percent: 100, fixedDelay: 2s}}
    route:
    - destination: {host: ratings, subset: v1}
`)
	must(t, lab.Until(within(t, time.Minute), "a request takes two seconds", func(ctx context.Context) error {
		started := time.Now()
		seen, err := statuses(ctx, bookinfo, "app=sleep", "sleep", 1, "http://ratings:9080/ratings/0")
		if took := time.Since(started); err == nil && (took < 2*time.Second || seen[200] != 1) {
			err = fmt.Errorf("took %s, %v", took, seen)
		}
		return err
	}))
}

func TestRuleMirror(t *testing.T) {
	applyFile(t, bookinfo, "samples/httpbin/httpbin-versions.yaml")
	must(t, mesh.Available(within(t, 3*time.Minute), bookinfo))
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: httpbin}
spec:
  hosts: [httpbin]
  http:
  - route:
    - destination: {host: httpbin, subset: v1}
      weight: 100
    mirror: {host: httpbin, subset: v2}
`)
	must(t, lab.Until(within(t, time.Minute), "the mirror sees what v1 answers", func(ctx context.Context) error {
		mark := fmt.Sprintf("/anything/mirror-%d", time.Now().UnixNano())
		seen, err := statuses(ctx, bookinfo, "app=sleep", "sleep", 1, "http://httpbin:8000"+mark)
		if err != nil || seen[200] != 1 {
			return errors.Join(err, fmt.Errorf("got %v", seen))
		}
		return lab.Until(ctx, "v2 logs the mirrored request", func(ctx context.Context) error {
			log, err := mesh.Logs(ctx, bookinfo, "app=httpbin,version=v2", "istio-proxy", 100)
			if err == nil && !strings.Contains(log, mark) {
				err = errors.New("not yet in the log of v2")
			}
			return err
		})
	}))
}

func TestRuleCircuitBreaker(t *testing.T) {
	applyFile(t, bookinfo, "samples/httpbin/httpbin.yaml")
	must(t, mesh.Available(within(t, 3*time.Minute), bookinfo))
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}
    outlierDetection:
      http: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}
`)
	eventuallyStatus(t, "httpbin answers", 200, bookinfo, "app=sleep", "sleep", "http://httpbin:8000/status/200")
	must(t, lab.Until(within(t, time.Minute), "one error opens the circuit", func(ctx context.Context) error {
		if _, err := statuses(ctx, bookinfo, "app=sleep", "sleep", 1, "http://httpbin:8000/status/503"); err != nil {
			return err
		}
		seen, err := statuses(ctx, bookinfo, "app=sleep", "sleep", 3, "http://httpbin:8000/status/200")
		if err == nil && seen[503] == 0 {
			err = fmt.Errorf("still answers: %v", seen)
		}
		return err
	}))
}
