package scenarios

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestBookinfoRules applies the articles' rules to a Bookinfo, one after another, and observes each on requests through the
// ingress gateway or from a pod with a sidecar.
func TestBookinfoRules(t *testing.T) {
	readyMesh(t)
	s := ownBookinfo(t, "rules")
	t.Run("all-v1", s.allToV1)
	t.Run("weights", s.weights)
	t.Run("jason", s.jason)
	t.Run("ratings-for-jason", s.ratingsForJason)
	t.Run("abort", s.abort)
	t.Run("delay", s.delay)
	t.Run("subsets", s.subsets)
}

func (s site) allToV1(t *testing.T) {
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-all-v1.yaml")
	s.showsOnly(t, "v1", nil)
}

// weights counts who answers 200 requests. Their number has a binomial distribution: five standard deviations make a false
// alarm one in a million.
func (s site) weights(t *testing.T) {
	const count = 200
	for _, rule := range []struct {
		file string
		v2   float64
	}{{"virtual-service-reviews-75-25.yaml", 0.25}, {"virtual-service-reviews-90-10.yaml", 0.10}} {
		t.Run(rule.file, func(t *testing.T) {
			s.showsV3(t, true) // the rule before has no effect any more
			applyFile(t, s.namespace, "samples/bookinfo/"+rule.file)
			s.showsV3(t, false)
			seen, err := s.reviews(within(t, 3*time.Minute), count, nil)
			must(t, err)
			mean, deviation := rule.v2*count, math.Sqrt(rule.v2*(1-rule.v2)*count)
			if v2 := seen["v2"]; v2 == 0 || math.Abs(float64(v2)-mean) > 5*deviation || seen["v1"]+v2 != count {
				t.Errorf("of %d requests %v, want about %.0f v2 and else v1", count, seen, mean)
			}
		})
	}
}

// showsV3 waits until pages show reviews v3 among others, or no longer do.
func (s site) showsV3(t *testing.T, want bool) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), fmt.Sprintf("pages show v3: %t", want), func(ctx context.Context) error {
		seen, err := s.reviews(ctx, 10, nil)
		if err == nil && ((seen["v3"] > 0) != want || seen["none"] > 0) {
			err = fmt.Errorf("saw %v", seen)
		}
		return err
	}))
}

// jason steers one user's requests by a session's cookie and by the header that names the user.
func (s site) jason(t *testing.T) {
	const cookie, header = "cookie: a=b; user=jason", "end-user: jason"
	for _, rule := range []struct{ file, matches, other string }{
		{"virtual-service-reviews-jason-cookie.yaml", cookie, header},
		{"virtual-service-reviews-jason-header.yaml", header, cookie},
	} {
		t.Run(rule.file, func(t *testing.T) {
			applyFile(t, s.namespace, "samples/bookinfo/"+rule.file)
			s.reviewsAnswer(t, "v2", rule.matches)
			s.reviewsAnswer(t, "v1", rule.other)
			s.showsOnly(t, "v1", nil)
			s.showsOnly(t, "v2", map[string]string{"cookie": "user=jason"})
		})
	}
}

// reviewsAnswer waits until one version of reviews answers several requests with header in a row.
func (s site) reviewsAnswer(t *testing.T, version, header string) {
	t.Helper()
	const count = 6
	must(t, lab.Until(within(t, 2*time.Minute), "with "+header+" reviews "+version+" answers", func(ctx context.Context) error {
		text, err := curl(ctx, s.namespace, "-n", strconv.Itoa(count), "-H", header, "http://reviews:9080/reviews/0")
		if got := strings.Count(text, `"version":"`+version+`"`); err == nil && got != count {
			err = fmt.Errorf("%d of %d: %.1000s", got, count, text)
		}
		return err
	}))
}

// ratingsForJason lets reviews v2 ask for ratings only for jason: a rule that matches the caller and a header. Reviews v3,
// which no match names, is not affected.
func (s site) ratingsForJason(t *testing.T) {
	const stars, none = `class="stars black"`, "Ratings service is currently unavailable"
	jason := map[string]string{"cookie": "user=jason"}
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-reviews-v2.yaml")
	s.showsOnly(t, "v2", nil)
	s.shows(t, nil, stars)
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-ratings-jason-from-v2.yaml")
	s.shows(t, nil, "reviews-v2", none)
	s.shows(t, jason, "reviews-v2", stars)
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-reviews-v3.yaml")
	s.showsOnly(t, "v3", nil)
	s.shows(t, nil, "reviews-v3", `class="stars red"`)
	s.shows(t, jason, "reviews-v3", `class="stars red"`)
}

func (s site) abort(t *testing.T) {
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-ratings-abort.yaml")
	eventuallyStatus(t, "jason gets 500", 500, s.namespace, "-H", "cookie: a=b;user=jason", "http://ratings:9080/ratings/0")
	eventuallyStatus(t, "others get 200", 200, s.namespace, "-H", "cookie: user=other", "http://ratings:9080/ratings/0")
}

func (s site) delay(t *testing.T) {
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-ratings-delay.yaml")
	must(t, lab.Until(within(t, 2*time.Minute), "a request takes two seconds", func(ctx context.Context) error {
		started := time.Now()
		seen, err := statuses(ctx, s.namespace, 1, "http://ratings:9080/ratings/0")
		if took := time.Since(started); err == nil && (took < 2*time.Second || seen[200] != 1) {
			err = fmt.Errorf("took %s, %v", took, seen)
		}
		return err
	}))
}

// subsets deletes the DestinationRules with mutual TLS, which rules for versions need, applies those that set no TLS mode, and
// then one with a connection limit.
func (s site) subsets(t *testing.T) {
	const own = "samples/bookinfo/destination-rule-all-mtls.yaml"
	applyFile(t, s.namespace, "samples/bookinfo/virtual-service-all-v1.yaml")
	s.showsOnly(t, "v1", nil)
	atEnd(t, time.Minute, func(ctx context.Context) error { return mesh.ApplyFile(ctx, s.namespace, own) })
	must(t, mesh.Delete(within(t, time.Minute), s.namespace, read(t, own)))
	s.shows(t, nil, "product reviews are currently unavailable")

	must(t, mesh.ApplyFile(within(t, time.Minute), s.namespace, "samples/bookinfo/destination-rule-all.yaml"))
	s.showsOnly(t, "v1", nil) // by mutual TLS: the mesh is strict

	must(t, mesh.ApplyFile(within(t, time.Minute), s.namespace, "samples/bookinfo/destination-rule-reviews-limit.yaml"))
	s.limitsConnections(t, "outbound|9080|v1|reviews."+s.namespace+".svc.cluster.local", 100)
	s.showsOnly(t, "v1", nil)
}

// limitsConnections waits until productpage's Envoy reports how many connections it opens to a cluster at most.
func (s site) limitsConnections(t *testing.T, cluster string, connections int) {
	t.Helper()
	pod, err := mesh.RunningPod(within(t, 30*time.Second), s.namespace, "app=productpage")
	must(t, err)
	line := fmt.Sprintf("%s::default_priority::max_connections::%d\n", cluster, connections)
	must(t, lab.Until(within(t, 2*time.Minute), "Envoy has the limit", func(ctx context.Context) error {
		text, err := getThroughPod(ctx, pod, 15000, "/clusters")
		if err == nil && !strings.Contains(text, line) {
			err = fmt.Errorf("no line %q", line)
		}
		return err
	}))
}
