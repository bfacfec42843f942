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

// TestMirror sends requests to v1 of a service and finds copies of them in the log of v2.
func TestMirror(t *testing.T) {
	readyMesh(t)
	namespace(t, "mirror", injected)
	deploy(t, "mirror", "samples/httpbin/httpbin-versions.yaml", sleepSample)
	apply(t, "mirror", `
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
	must(t, lab.Until(within(t, 2*time.Minute), "v2 gets a copy of what v1 answers", func(ctx context.Context) error {
		mark := fmt.Sprintf("/anything/mirror-%d", time.Now().UnixNano())
		seen, err := statuses(ctx, "mirror", 1, "http://httpbin:8000"+mark)
		if err != nil || seen[200] != 1 {
			return errors.Join(err, fmt.Errorf("got %v", seen))
		}
		// A request that was sent before the rule had effect is never in the log of v2.
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return lab.Until(ctx, "v2 logs the mirrored request", func(ctx context.Context) error {
			log, err := mesh.Logs(ctx, "mirror", "app=httpbin,version=v2", "istio-proxy", 100)
			if err == nil && !strings.Contains(log, mark) {
				err = errors.New("not in the log of v2")
			}
			return err
		})
	}))
}

// TestCircuitBreaker lets one error eject the only endpoint of a service.
func TestCircuitBreaker(t *testing.T) {
	readyMesh(t)
	namespace(t, "breaker", injected)
	deploy(t, "breaker", "samples/httpbin/httpbin.yaml", sleepSample)
	apply(t, "breaker", `
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
	eventuallyStatus(t, "httpbin answers", 200, "breaker", "http://httpbin:8000/status/200")
	must(t, lab.Until(within(t, 2*time.Minute), "one error opens the circuit", func(ctx context.Context) error {
		if _, err := statuses(ctx, "breaker", 1, "http://httpbin:8000/status/503"); err != nil {
			return err
		}
		seen, err := statuses(ctx, "breaker", 3, "http://httpbin:8000/status/200")
		if err == nil && seen[503] == 0 {
			err = fmt.Errorf("still answers: %v", seen)
		}
		return err
	}))
}
