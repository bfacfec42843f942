package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const standardTTL = `{"spec":{"security":null}}`

// TestRenewal shortens certificates to a minute and serves pages past the end of the first one: no request fails. Every
// request makes a connection of its own, so each sees the certificate of its moment.
func TestRenewal(t *testing.T) {
	change(t, `{"spec":{"security":{"workloadCertTTL":"1m"}}}`, standardTTL)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := mesh.ApplyFile(ctx, bookinfo, "samples/bookinfo/destination-rule-all-mtls.yaml"); err != nil {
			t.Error(err)
		}
	})
	must(t, mesh.Apply(within(t, 30*time.Second), bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: productpage}
spec:
  host: productpage
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    connectionPool: {http: {maxRequestsPerConnection: 1}}
  subsets:
  - {name: v1, labels: {version: v1}}
`))
	restart(t, bookinfo, "productpage-v1")
	first := served(t)
	if left := time.Until(first.Expires); left > time.Minute {
		t.Fatalf("the new pod's certificate expires in %s, not within a minute", left)
	}
	underTraffic(t, func(t *testing.T) {
		must(t, lab.Until(within(t, 2*time.Minute), "the first certificate is over", func(context.Context) error {
			if left := time.Until(first.Expires.Add(2 * time.Second)); left > 0 {
				return fmt.Errorf("%s left", left)
			}
			return nil
		}))
		if now := served(t); now.Serial == first.Serial || !now.Expires.After(first.Expires) {
			t.Errorf("it was not renewed: %v became %v", first, now)
		}
	})

	must(t, edit(within(t, 2*time.Minute), standardTTL))
	restart(t, bookinfo, "productpage-v1")
	if left := time.Until(served(t).Expires); left < 23*time.Hour {
		t.Errorf("with the setting gone a new pod's certificate expires in %s", left)
	}
}

// certificate is the part of Envoy's list of certificates that shows a renewal.
type certificate struct {
	Serial  string    `json:"serial_number"`
	Expires time.Time `json:"expiration_time"`
}

// served is the certificate that productpage's Envoy presents to its peers.
func served(t *testing.T) certificate {
	t.Helper()
	ctx := within(t, 30*time.Second)
	pod, err := mesh.RunningPod(ctx, bookinfo, "app=productpage")
	must(t, err)
	text, err := getThroughPod(ctx, pod, 15000, "/certs")
	must(t, err)
	var list struct {
		Certificates []struct {
			Chain []certificate `json:"cert_chain"`
		} `json:"certificates"`
	}
	must(t, json.Unmarshal([]byte(text), &list))
	for _, c := range list.Certificates {
		if len(c.Chain) > 0 {
			return c.Chain[0]
		}
	}
	t.Fatalf("Envoy lists no certificate: %.500s", text)
	return certificate{}
}
