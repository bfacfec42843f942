package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"
)

func newCertificate(t testing.TB, name string, isCA bool) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  isCA,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// The order of PEM blocks once hid a rotation from a mesh that compared bundles as text.
func TestBundlesCompareAsSets(t *testing.T) {
	a, b := newCertificate(t, "a", true), newCertificate(t, "b", true)
	forth, err := Parse(slices.Concat(EncodeCertificate(a), []byte("\n# comment\n"), EncodeCertificate(b)))
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(slices.Concat(EncodeCertificate(b), EncodeCertificate(a), EncodeCertificate(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !forth.Equal(back) || len(back.Roots()) != 2 {
		t.Errorf("bundles of the same roots differ: %d and %d roots", len(forth.Roots()), len(back.Roots()))
	}
	if one := New(a); one.Equal(forth) || one.Includes(forth) || !forth.Includes(one) {
		t.Error("a bundle of one root equals one of two")
	}
}

func TestParseRefuses(t *testing.T) {
	good := EncodeCertificate(newCertificate(t, "a", true))
	cases := map[string][]byte{
		"Empty":     nil,
		"Text":      []byte("hello"),
		"Cut":       good[:len(good)-30],
		"SecondCut": slices.Concat(good, good[:len(good)-30]),
		"Leaf":      EncodeCertificate(newCertificate(t, "leaf", false)),
		"Key":       []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"),
		"Junk":      bytes.Repeat([]byte("-----BEGIN "), 100<<10), // CVE-2025-61723: a megabyte would take minutes
		"TooMany":   bytes.Repeat(good, 1<<20/len(good)),
		"Garbled":   []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			if b, err := Parse(text); err == nil {
				t.Errorf("Parse accepts %d roots", len(b.Roots()))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	a, b := EncodeCertificate(newCertificate(f, "a", true)), EncodeCertificate(newCertificate(f, "b", true))
	f.Add(a)
	f.Add(slices.Concat(a, b))
	f.Add(slices.Concat([]byte("# root\n"), a, []byte("\n\n"), a))
	f.Fuzz(func(t *testing.T, text []byte) {
		bundle, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(bundle.PEM())
		if err != nil || !again.Equal(bundle) || !bytes.Equal(again.PEM(), bundle.PEM()) {
			t.Errorf("a bundle printed and read again differs: %v", err)
		}
	})
}
