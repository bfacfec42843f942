package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/dataplane"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

func TestCertificatesHealthy(t *testing.T) {
	at := func(d time.Duration) v1alpha1.CertificateStatus {
		return v1alpha1.CertificateStatus{NotAfter: metav1.NewTime(now.Add(d))}
	}
	cases := map[string]struct {
		certificates []v1alpha1.CertificateStatus
		want         string
	}{
		"None":        {want: "NoRoot"},
		"Valid":       {certificates: []v1alpha1.CertificateStatus{at(365 * 24 * time.Hour)}, want: "Valid"},
		"ExpiresSoon": {certificates: []v1alpha1.CertificateStatus{at(24 * time.Hour)}, want: "ExpiresSoon"},
		"Expired":     {certificates: []v1alpha1.CertificateStatus{at(-time.Hour)}, want: "Expired"},
		"NewerSaves":  {certificates: []v1alpha1.CertificateStatus{at(-time.Hour), at(365 * 24 * time.Hour)}, want: "Valid"},
	}
	for name, c := range cases {
		if got := certificatesHealthy(v1alpha1.InstallationStatus{}, c.certificates, Outcome{}, now).Reason; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func newRoot(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"cluster.local"}},
		NotBefore: now, NotAfter: now.Add(365 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestReadyAfterRootIsReplaced follows what happens after the mesh's namespace was deleted: sidecars that have the old root
// cannot call each other, so the mesh is not Ready before all of them are connected again.
func TestReadyAfterRootIsReplaced(t *testing.T) {
	first, second, third := newRoot(t), newRoot(t), newRoot(t)
	connected := func(synced int) dataplane.Result {
		return dataplane.Result{Polled: true, Proxies: &dataplane.Counts{Sidecars: map[string]int{"": 3}, Synced: synced}}
	}
	var status v1alpha1.InstallationStatus
	for _, step := range []struct {
		name   string
		roots  []*x509.Certificate
		polled dataplane.Result
		at     time.Duration
		ready  string
	}{
		{"installed", []*x509.Certificate{first}, dataplane.Result{}, 0, "Ready"},
		{"rotation", []*x509.Certificate{second, first}, connected(3), time.Minute, "Ready"},
		{"rotation ends", []*x509.Certificate{second}, connected(3), 2 * time.Minute, "Ready"},
		{"namespace deleted", nil, dataplane.Result{}, 3 * time.Minute, "Ready"}, // its components say so, not this condition
		{"another root, old numbers", []*x509.Certificate{third}, connected(3), 4 * time.Minute, "RootReplaced"},
		{"pilot is not ready", []*x509.Certificate{third}, dataplane.Result{Polled: true}, 5 * time.Minute, "RootReplaced"},
		{"a proxy has the old root", []*x509.Certificate{third}, connected(2), 6 * time.Minute, "RootReplaced"},
		{"every proxy has the new root", []*x509.Certificate{third}, connected(3), 7 * time.Minute, "Ready"},
		{"a pod starts", []*x509.Certificate{third}, connected(2), 8 * time.Minute, "Ready"},
		{"another root again", []*x509.Certificate{first}, dataplane.Result{}, 20 * time.Minute, "RootReplaced"},
		{"nearly ten minutes later", []*x509.Certificate{first}, connected(2), 30*time.Minute - time.Second, "RootReplaced"},
		{"ten minutes later", []*x509.Certificate{first}, connected(2), 30 * time.Minute, "Ready"},
	} {
		out := healthy()
		out.Observed, out.Roots, out.DataPlane = true, trust.New(step.roots...), step.polled
		status = Status(status, out, nil, now.Add(step.at))
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		if ready.Reason != step.ready {
			t.Errorf("%s: Ready is %s: %s, want %s", step.name, ready.Reason, ready.Message, step.ready)
		}
		if got := RootReplaced(status); got != (step.ready == "RootReplaced") {
			t.Errorf("%s: RootReplaced is %t", step.name, got)
		}
	}
}
