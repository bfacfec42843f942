package scenarios

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const outside = "outside" // namespace without sidecars

var peerIdentity = regexp.MustCompile(`(?m)^\[[^\]]*\] peer=spiffe://cluster\.local/ns/` + bookinfo + `/sa/[a-z-]+`)

// outsiders makes sure that there is a client without a sidecar.
func outsiders(t *testing.T) {
	t.Helper()
	must(t, mesh.EnsureNamespace(within(t, 30*time.Second), outside, nil))
	must(t, mesh.ApplyFile(within(t, time.Minute), outside, "samples/sleep/sleep.yaml"))
	must(t, mesh.Available(within(t, 2*time.Minute), outside))
}

// TestStrict shows that the mesh of the article (authentication: true) lets nobody in without a certificate, and whom it
// saw when it did.
func TestStrict(t *testing.T) {
	outsiders(t)
	const url = "http://details.bookinfo:9080/details/0"

	t.Run("a sidecar works", func(t *testing.T) {
		eventuallyStatus(t, "a pod with a sidecar is answered", 200, bookinfo, "app=sleep", "sleep", url)
	})
	t.Run("a plaintext client is refused", func(t *testing.T) {
		seen, err := statuses(within(t, time.Minute), outside, "app=sleep", "sleep", 3, url)
		must(t, err)
		if seen[0] != 3 {
			t.Errorf("plaintext requests got %v, want no answer", seen)
		}
	})
	t.Run("peers are SPIFFE identities", func(t *testing.T) {
		must(t, lab.Until(within(t, 30*time.Second), "the receiving sidecar logs its peer", func(ctx context.Context) error {
			log, err := mesh.Logs(ctx, bookinfo, "app=details", "istio-proxy", 200)
			if err == nil && !peerIdentity.MatchString(log) {
				err = errors.New("no identity in the access log")
			}
			return err
		}))
	})
	t.Run("an exempted port works", func(t *testing.T) {
		apply(t, bookinfo, `
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: details}
spec:
  selector: {matchLabels: {app: details}}
  mtls: {mode: STRICT}
  portLevelMtls:
    9080: {mode: PERMISSIVE}
`)
		eventuallyStatus(t, "the exempted port takes plaintext", 200, outside, "app=sleep", "sleep", url)
		eventuallyStatus(t, "and mutual TLS", 200, bookinfo, "app=sleep", "sleep", url)
	})
	t.Run("a permissive namespace admits both", func(t *testing.T) {
		apply(t, bookinfo, `
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: PERMISSIVE}}
`)
		eventuallyStatus(t, "plaintext is answered", 200, outside, "app=sleep", "sleep", url)
		eventuallyStatus(t, "mutual TLS is answered", 200, bookinfo, "app=sleep", "sleep", url)
	})
	t.Run("and is strict again afterwards", func(t *testing.T) {
		must(t, lab.Until(within(t, time.Minute), "plaintext is refused again", func(ctx context.Context) error {
			seen, err := statuses(ctx, outside, "app=sleep", "sleep", 1, url)
			if err == nil && seen[0] != 1 {
				err = fmt.Errorf("got %v", seen)
			}
			return err
		}))
	})
}
