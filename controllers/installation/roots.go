package installation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const (
	rootsConfigMap = "istio-ca-root-cert"
	rootsKey       = "root-cert.pem"
	rootSecret     = "istio-ca-secret"
)

// roots reads the roots of trust that citadel has published. They are read again only when the ConfigMap changed.
func (r *Reconciler) roots(ctx context.Context) ([]byte, error) {
	live := r.Watch.Lookup(apply.Ref{Kind: "ConfigMap", Namespace: owner.MeshNamespace, Name: rootsConfigMap})
	if live == nil {
		return nil, nil
	}
	if r.rootsVersion == live.GetResourceVersion() {
		return r.rootsPEM, nil
	}
	object := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: owner.MeshNamespace, Name: rootsConfigMap}
	if err := r.Client.Get(ctx, key, object); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read roots of trust: %w", err)
	}
	certificates, err := parseRoots([]byte(object.Data[rootsKey]))
	if err != nil {
		return nil, fmt.Errorf("read roots of trust: ConfigMap %s: %w", rootsConfigMap, err)
	}
	r.rootsVersion, r.rootsPEM = object.ResourceVersion, encodeRoots(certificates)
	return r.rootsPEM, nil
}

// parseRoots accepts nothing but certificates: what it returns is published to the API server as a trust anchor.
func parseRoots(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return certificates, nil
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s block, want only certificates", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
}

func encodeRoots(certificates []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, certificate := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}) // a Buffer takes everything
	}
	return out.Bytes()
}

func certificateStatus(roots []byte) []v1alpha1.CertificateStatus {
	certificates, err := parseRoots(roots)
	if err != nil {
		return nil // Desired was given what roots has checked
	}
	out := make([]v1alpha1.CertificateStatus, 0, len(certificates))
	for _, certificate := range certificates {
		sum := sha256.Sum256(certificate.Raw)
		out = append(out, v1alpha1.CertificateStatus{
			Name: certificate.Subject.String(), NotAfter: metav1.NewTime(certificate.NotAfter), Fingerprint: hex.EncodeToString(sum[:]),
		})
	}
	return out
}
