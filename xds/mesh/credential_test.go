package mesh

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestCredentialIsRejected: what is too large is not parsed (CVE-2025-61723), what is not a certificate of a server
// is none, the root of the mesh above all, and no reason repeats what is in the Secret.
func TestCredentialIsRejected(t *testing.T) {
	const canary = "canary-of-a-key"
	for name, c := range map[string]struct {
		data map[string][]byte
		says string
	}{
		"TooLarge":      {map[string][]byte{"tls.crt": bytes.Repeat([]byte("-----BEGIN "), 100<<10), "tls.key": []byte(canary)}, "is larger than"},
		"TooLargeCA":    {map[string][]byte{"ca.crt": bytes.Repeat([]byte("-----BEGIN "), 100<<10)}, "is larger than"},
		"RootOfTheMesh": {map[string][]byte{"ca-cert.pem": []byte(canary), "ca-key.pem": []byte(canary)}, "lacks tls.crt or tls.key"},
		"BadAuthority":  {map[string][]byte{"ca.crt": []byte("-----BEGIN CERTIFICATE-----\nY2FuYXJ5LW9mLWEta2V5\n-----END CERTIFICATE-----\n")}, "ca.crt is not a list of PEM certificates: number 1: "},
		"Revoked":       {map[string][]byte{"ca.crl": []byte(canary)}, "ca.crl has no PEM revocation list"},
		"NoKey":         {map[string][]byte{"tls.crt": []byte(canary)}, "lacks tls.crt or tls.key"},
		"Noise":         {map[string][]byte{"tls.crt": []byte(canary), "tls.key": []byte(canary)}, "are not a key pair"},
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			x := newCredential(&corev1.Secret{Data: c.data})
			got := x.check()
			if !strings.Contains(got, c.says) || strings.Contains(got, canary) {
				t.Errorf("check says %q, want %q", got, c.says)
			}
			if name == "RootOfTheMesh" && len(x.Certificate)+len(x.PrivateKey)+len(x.CA) > 0 {
				t.Error("the root's key was read")
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
