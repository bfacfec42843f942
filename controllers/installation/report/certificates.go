package report

import (
	"crypto/sha256"
	"encoding/hex"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

func certificateStatus(roots trust.Bundle) []v1alpha1.CertificateStatus {
	out := make([]v1alpha1.CertificateStatus, 0, len(roots.Roots()))
	for _, certificate := range roots.Roots() {
		sum := sha256.Sum256(certificate.Raw)
		out = append(out, v1alpha1.CertificateStatus{
			Name: certificate.Subject.String(), NotAfter: metav1.NewTime(certificate.NotAfter), Fingerprint: hex.EncodeToString(sum[:]),
		})
	}
	return out
}
