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

const strictSpace = "strict"

var peerIdentity = regexp.MustCompile(`(?m)^\[[^\]]*\] peer=spiffe://cluster\.local/ns/` + strictSpace + `/sa/[a-z-]+`)

// TestStrictMutualTLS checks that the mesh of the article (authentication: true) refuses clients without a certificate, logs
// the identity of the others, and follows PeerAuthentications that exempt a port or a namespace.
func TestStrictMutualTLS(t *testing.T) {
	readyMesh(t)
	plaintextClient(t)
	namespace(t, strictSpace, injected)
	deploy(t, strictSpace, "samples/httpbin/httpbin.yaml", sleepSample)
	const url = "http://httpbin." + strictSpace + ":8000/status/200"

	t.Run("a client with a sidecar is answered", func(t *testing.T) {
		eventuallyStatus(t, "a client with a sidecar is answered", 200, strictSpace, url)
	})
	t.Run("a plaintext client is refused", func(t *testing.T) {
		seen, err := statuses(within(t, time.Minute), outside, 3, url)
		must(t, err)
		if seen[0] != 3 {
			t.Errorf("plaintext requests got %v, want no answer", seen)
		}
	})
	t.Run("peers are SPIFFE identities", func(t *testing.T) {
		must(t, lab.Until(within(t, time.Minute), "the receiving sidecar logs its peer", func(ctx context.Context) error {
			log, err := mesh.Logs(ctx, strictSpace, "app=httpbin", "istio-proxy", 200)
			if err == nil && !peerIdentity.MatchString(log) {
				err = errors.New("no identity in the access log")
			}
			return err
		}))
	})
	t.Run("an exempted port accepts both", func(t *testing.T) {
		apply(t, strictSpace, `
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: httpbin}
spec:
  selector: {matchLabels: {app: httpbin}}
  mtls: {mode: STRICT}
  portLevelMtls:
    8080: {mode: PERMISSIVE}
`)
		eventuallyStatus(t, "plaintext is answered", 200, outside, url)
		eventuallyStatus(t, "mutual TLS is answered", 200, strictSpace, url)
	})
	t.Run("a permissive namespace accepts both", func(t *testing.T) {
		apply(t, strictSpace, `
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: PERMISSIVE}}
`)
		eventuallyStatus(t, "plaintext is answered", 200, outside, url)
		eventuallyStatus(t, "mutual TLS is answered", 200, strictSpace, url)
	})
	t.Run("without them it is strict again", func(t *testing.T) {
		must(t, lab.Until(within(t, 2*time.Minute), "plaintext is refused again", func(ctx context.Context) error {
			seen, err := statuses(ctx, outside, 1, url)
			if err == nil && seen[0] != 1 {
				err = fmt.Errorf("got %v", seen)
			}
			return err
		}))
	})
}
