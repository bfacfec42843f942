package scenarios

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
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

// TestRuleWeights counts who answers 200 requests. Their number has a binomial distribution: five standard deviations make a
// false alarm one in a million.
func TestRuleWeights(t *testing.T) {
	const count = 200
	for _, rule := range []struct {
		file string
		v2   float64
	}{{"virtual-service-reviews-75-25.yaml", 0.25}, {"virtual-service-reviews-90-10.yaml", 0.10}} {
		t.Run(rule.file, func(t *testing.T) {
			seesV3(t, true) // whatever the rule before said is over
			applyFile(t, bookinfo, "samples/bookinfo/"+rule.file)
			seesV3(t, false)
			seen, err := reviewsBy(within(t, 2*time.Minute), t, count, nil)
			must(t, err)
			mean, deviation := rule.v2*count, math.Sqrt(rule.v2*(1-rule.v2)*count)
			if v2 := seen["v2"]; v2 == 0 || math.Abs(float64(v2)-mean) > 5*deviation || seen["v1"]+v2 != count {
				t.Errorf("of %d requests %v, want about %.0f v2 and else v1", count, seen, mean)
			}
		})
	}
}

// seesV3 waits until pages show reviews v3 among others, or no longer do.
func seesV3(t *testing.T, want bool) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), fmt.Sprintf("v3 is seen: %t", want), func(ctx context.Context) error {
		seen, err := reviewsBy(ctx, t, 10, nil)
		if err == nil && ((seen["v3"] > 0) != want || seen["none"] > 0) {
			err = fmt.Errorf("saw %v", seen)
		}
		return err
	}))
}

// TestRuleJason steers one user's requests by a session's cookie and by the header that names the user.
func TestRuleJason(t *testing.T) {
	const cookie, header = "cookie: a=b; user=jason", "end-user: jason"
	for _, rule := range []struct{ file, matches, other string }{
		{"virtual-service-reviews-jason-cookie.yaml", cookie, header},
		{"virtual-service-reviews-jason-header.yaml", header, cookie},
	} {
		t.Run(rule.file, func(t *testing.T) {
			applyFile(t, bookinfo, "samples/bookinfo/"+rule.file)
			reviewsAnswer(t, "v2", rule.matches)
			reviewsAnswer(t, "v1", rule.other)
			onlyReviews(t, "v1", nil)
			onlyReviews(t, "v2", map[string]string{"cookie": "user=jason"})
		})
	}
}

// reviewsAnswer waits until a pod of the mesh that sends header is answered by one version of reviews, several times in a row.
func reviewsAnswer(t *testing.T, version, header string) {
	t.Helper()
	const count = 6
	must(t, lab.Until(within(t, time.Minute), "with "+header+" reviews "+version+" answers", func(ctx context.Context) error {
		text, err := mesh.Exec(ctx, bookinfo, "app=sleep", "sleep", "curl", "-s", "-m", "10", "-n", strconv.Itoa(count), "-H", header, "http://reviews:9080/reviews/0")
		if got := strings.Count(text, `"version":"`+version+`"`); err == nil && got != count {
			err = fmt.Errorf("%d of %d: %.1000s", got, count, text)
		}
		return err
	}))
}

// TestRuleRatingsForJason lets reviews v2 ask for ratings only for jason: a rule about who calls and for whom. It does not
// concern reviews v3, which no match names.
func TestRuleRatingsForJason(t *testing.T) {
	const stars, none = `class="stars black"`, "Ratings service is currently unavailable"
	jason := map[string]string{"cookie": "user=jason"}
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-reviews-v2.yaml")
	onlyReviews(t, "v2", nil)
	pageHas(t, nil, stars)
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-ratings-jason-from-v2.yaml")
	pageHas(t, nil, "reviews-v2", none)
	pageHas(t, jason, "reviews-v2", stars)
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-reviews-v3.yaml")
	onlyReviews(t, "v3", nil)
	pageHas(t, nil, "reviews-v3", `class="stars red"`)
	pageHas(t, jason, "reviews-v3", `class="stars red"`)
}

// pageHas waits until the page shows all parts.
func pageHas(t *testing.T, header map[string]string, parts ...string) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), fmt.Sprintf("the page for %v has %q", header, parts), func(ctx context.Context) error {
		reply, err := page(ctx, t, "/productpage", header)
		for _, part := range parts {
			if err == nil && !strings.Contains(reply.Body, part) {
				err = fmt.Errorf("status %d, without %q: %.4000s", reply.Status, part, reply.Body)
			}
		}
		return err
	}))
}

func TestRuleAbort(t *testing.T) {
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-ratings-abort.yaml")
	eventuallyStatus(t, "jason gets 500", 500, bookinfo, "app=sleep", "sleep", "-H", "cookie: a=b;user=jason", "http://ratings:9080/ratings/0")
	eventuallyStatus(t, "others get 200", 200, bookinfo, "app=sleep", "sleep", "-H", "cookie: user=other", "http://ratings:9080/ratings/0")
}

func TestRuleDelay(t *testing.T) {
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-ratings-delay.yaml")
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
	must(t, lab.Until(within(t, 2*time.Minute), "the mirror sees what v1 answers", func(ctx context.Context) error {
		mark := fmt.Sprintf("/anything/mirror-%d", time.Now().UnixNano())
		seen, err := statuses(ctx, bookinfo, "app=sleep", "sleep", 1, "http://httpbin:8000"+mark)
		if err != nil || seen[200] != 1 {
			return errors.Join(err, fmt.Errorf("got %v", seen))
		}
		// A request that came before the rule is in no log of v2, however long one waits.
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
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
