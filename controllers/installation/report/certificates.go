package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// expiryWarning is how long before its expiry a root of trust is unhealthy.
const expiryWarning = 30 * 24 * time.Hour

// ReasonRootReplaced is the reason of CertificatesHealthy while running proxies do not trust the new root yet. The roots are
// replaced as a whole when the mesh's namespace was deleted; a rotation keeps the old one beside the new one.
const ReasonRootReplaced = "RootReplaced"

// replacedGrace is how long Ready waits for the proxies after the roots were replaced, as long as citadel gives the proxies
// before a rotated root signs. A proxy that is not connected for another reason must not hold Ready up for ever.
const replacedGrace = 10 * time.Minute

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

func certificatesHealthy(old v1alpha1.InstallationStatus, certificates []v1alpha1.CertificateStatus, out Outcome, now time.Time) metav1.Condition {
	const kind = v1alpha1.ConditionCertificatesHealthy
	if len(certificates) == 0 || out.Observed && out.Roots.Empty() {
		return condition(kind, false, "NoRoot", "citadel has not published the roots of trust yet")
	}
	last := slices.MaxFunc(certificates, func(a, b v1alpha1.CertificateStatus) int { return a.NotAfter.Compare(b.NotAfter.Time) })
	end := last.NotAfter.UTC().Format(time.RFC3339)
	switch since := replacedSince(old, certificates, now); {
	case !now.Before(last.NotAfter.Time):
		return condition(kind, false, "Expired", "the last root of trust expired at "+end)
	case now.Before(since.Add(replacedGrace)) && !everyProxyConnected(old, out):
		c := condition(kind, false, ReasonRootReplaced, fmt.Sprintf("the root of trust was replaced at %s: waiting until every running proxy has the new "+
			"one, at most %d minutes", since.UTC().Format(time.RFC3339), int(replacedGrace.Minutes())))
		c.LastTransitionTime = metav1.NewTime(since)
		return c
	case now.Add(expiryWarning).After(last.NotAfter.Time):
		return condition(kind, false, "ExpiresSoon", "the last root of trust expires at "+end)
	}
	return condition(kind, true, "Valid", "a root of trust is valid until "+end)
}

// replacedSince is when no root remained of those that status had; zero: that is not so, or no longer waited for.
func replacedSince(old v1alpha1.InstallationStatus, certificates []v1alpha1.CertificateStatus, now time.Time) time.Time {
	if previous := replacedCondition(old); previous != nil {
		return previous.LastTransitionTime.Time
	}
	remains := func(c v1alpha1.CertificateStatus) bool {
		return slices.ContainsFunc(old.Certificates, func(o v1alpha1.CertificateStatus) bool { return o.Fingerprint == c.Fingerprint })
	}
	if len(old.Certificates) == 0 || slices.ContainsFunc(certificates, remains) {
		return time.Time{}
	}
	return now.Truncate(time.Second) // what the API keeps of a time
}

// RootReplaced reports that Ready waits until every running proxy has the new root.
func RootReplaced(status v1alpha1.InstallationStatus) bool { return replacedCondition(status) != nil }

func replacedCondition(status v1alpha1.InstallationStatus) *metav1.Condition {
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCertificatesHealthy)
	if c == nil || c.Reason != ReasonRootReplaced {
		return nil
	}
	return c
}

// everyProxyConnected reports that each running proxy is connected to a pilot, since the roots were replaced: both have
// verified the other's certificate then, so both have the new root. What the pilots answered before that is no evidence.
func everyProxyConnected(old v1alpha1.InstallationStatus, out Outcome) bool {
	return replacedCondition(old) != nil && out.DataPlane.Proxies != nil && out.DataPlane.Proxies.NotSynced() == 0
}
