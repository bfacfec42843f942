package scenarios

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestDestinationRules takes the article's rules with mutual TLS away, puts those that do not speak of it in their place, and
// then the one with a limit. The rules of requests need the versions that they name.
func TestDestinationRules(t *testing.T) {
	const own = "samples/bookinfo/destination-rule-all-mtls.yaml"
	applyFile(t, bookinfo, "samples/bookinfo/virtual-service-all-v1.yaml")
	onlyReviews(t, "v1", nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := mesh.ApplyFile(ctx, bookinfo, own); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile("../../" + own)
	must(t, err)
	must(t, mesh.Delete(within(t, 30*time.Second), bookinfo, string(text)))
	pageHas(t, nil, "product reviews are currently unavailable")

	must(t, mesh.ApplyFile(within(t, 30*time.Second), bookinfo, "samples/bookinfo/destination-rule-all.yaml"))
	onlyReviews(t, "v1", nil) // by mutual TLS: the mesh is strict

	must(t, mesh.ApplyFile(within(t, 30*time.Second), bookinfo, "samples/bookinfo/destination-rule-reviews-limit.yaml"))
	limited(t, "outbound|9080|v1|reviews."+bookinfo+".svc.cluster.local", 100)
	onlyReviews(t, "v1", nil)
}

// limited waits until productpage's Envoy says how many connections it opens to a cluster at most.
func limited(t *testing.T, cluster string, connections int) {
	t.Helper()
	pod, err := mesh.RunningPod(within(t, 30*time.Second), bookinfo, "app=productpage")
	must(t, err)
	line := fmt.Sprintf("%s::default_priority::max_connections::%d\n", cluster, connections)
	must(t, lab.Until(within(t, time.Minute), "Envoy has the limit", func(ctx context.Context) error {
		text, err := getThroughPod(ctx, pod, 15000, "/clusters")
		if err == nil && !strings.Contains(text, line) {
			err = fmt.Errorf("no line %q", line)
		}
		return err
	}))
}
