package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationRenewal sets the lifetime of certificates to a minute and sends requests until the first certificate has
// expired: no request fails. Every request opens a connection, so each one meets the current certificate.
func TestInstallationRenewal(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	edit(t, `{"spec":{"security":{"workloadCertTTL":"1m"}}}`)
	atEnd(t, time.Minute, func(ctx context.Context) error {
		return mesh.ApplyFile(ctx, bookinfo, "samples/bookinfo/destination-rule-all-mtls.yaml")
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
	first := servedCertificate(t)
	if left := time.Until(first.Expires); left > time.Minute {
		t.Fatalf("the new pod's certificate expires in %s, not within a minute", left)
	}
	underTraffic(t, func(t *testing.T) {
		must(t, lab.Until(within(t, 2*time.Minute), "the first certificate has expired", func(context.Context) error {
			if left := time.Until(first.Expires.Add(2 * time.Second)); left > 0 {
				return fmt.Errorf("%s left", left)
			}
			return nil
		}))
		if now := servedCertificate(t); now.Serial == first.Serial || !now.Expires.After(first.Expires) {
			t.Errorf("it was not renewed: %v became %v", first, now)
		}
	})

	restore(t)
	restart(t, bookinfo, "productpage-v1")
	if left := time.Until(servedCertificate(t).Expires); left < 23*time.Hour {
		t.Errorf("without the setting a new pod's certificate expires in %s", left)
	}
}

// certificate is the part of Envoy's list of certificates that changes with a renewal.
type certificate struct {
	Serial  string    `json:"serial_number"`
	Expires time.Time `json:"expiration_time"`
}

// servedCertificate is the certificate that productpage's Envoy presents to its peers.
func servedCertificate(t *testing.T) certificate {
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
