package envoy

import (
	"net/http"
	"strings"
	"testing"
)

// TestOutlierDetection sends requests through a real Envoy to subsets whose endpoints are dead, gone or half of them dead.
func TestOutlierDetection(t *testing.T) {
	const dead = "127.0.0.1:1" // nothing listens there
	client := startOutbound(t, reviewsMesh(map[string]string{"v1": serve(t, "v1"), "v2": dead})+`
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets:
  - {name: half, labels: {}}
  - {name: dead, labels: {version: v2}}
  - {name: gone, labels: {version: v9}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /dead}}]
    route: [{destination: {host: reviews, subset: dead}}]
  - match: [{uri: {prefix: /gone}}]
    route: [{destination: {host: reviews, subset: gone}}]
  - match: [{uri: {prefix: /never-again}}]
    retries: {attempts: 0}
    route: [{destination: {host: reviews, subset: dead}}]
  - route: [{destination: {host: reviews, subset: half}}]
`, "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
	for range 10 {
		if got := client.get(t, "/", nil).String(); got != "200 v1 /" {
			t.Errorf("with a live endpoint beside the dead one: %s", got)
		}
	}
	for path, want := range map[string]string{
		"/dead": "upstream connect error", "/never-again": "upstream connect error", "/gone": "no healthy upstream",
	} {
		if got := client.get(t, path, nil); got.status != http.StatusServiceUnavailable || !strings.HasPrefix(got.body, want) {
			t.Errorf("GET %s = %v, want 503 %s", path, got, want)
		}
	}
}
