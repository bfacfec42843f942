package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

func sleep(t *testing.T) certNames {
	t.Helper()
	id, err := spiffe.New("cluster.local", "default", "sleep")
	if err != nil {
		t.Fatal(err)
	}
	return certNames{id: id, subject: telemetry.Peer{Workload: "sleep"}}
}

func testIssuer() issuer {
	return issuer{ttl: 24 * time.Hour, now: time.Now}
}

func reasonOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

// What a CSR asks for beyond its key has no effect: CVE-2021-27098, CVE-2022-40716.
func TestOnlyKeyOfRequestIsCertified(t *testing.T) {
	admin := &url.URL{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/kube-system/sa/admin"}
	elsewhere := &url.URL{Scheme: "spiffe", Host: "other.example", Path: "/ns/default/sa/sleep"}
	constraints, err := asn1.Marshal(struct{ IsCA bool }{true})
	if err != nil {
		t.Fatal(err)
	}
	extension := func(value []byte, critical bool, oid ...int) []pkix.Extension {
		return []pkix.Extension{{Id: oid, Critical: critical, Value: value}}
	}
	cases := map[string]x509.CertificateRequest{
		"Nothing":          {},
		"OtherURI":         {URIs: []*url.URL{admin}},
		"TwoURIs":          {URIs: []*url.URL{sleep(t).id.URI(), admin}},
		"OtherTrustDomain": {URIs: []*url.URL{elsewhere}},
		"DNS":              {DNSNames: []string{"istio-pilot.istio-system.svc"}},
		"IP":               {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"Email":            {EmailAddresses: []string{"root@cluster.local"}},
		"Subject":          {Subject: pkix.Name{CommonName: "istio-pilot", Organization: []string{"system:masters"}}},
		"CA":               {ExtraExtensions: extension(constraints, true, 2, 5, 29, 19)},
		"CertSign":         {ExtraExtensions: extension([]byte{3, 2, 2, 4}, true, 2, 5, 29, 15)},
		"CriticalSAN":      {ExtraExtensions: extension([]byte{0x30, 0x03, 0x82, 0x01, 'x'}, true, 2, 5, 29, 17)},
		"UnknownCritical":  {ExtraExtensions: extension([]byte{5, 0}, true, 1, 2, 3, 4)},
	}
	signer := newAuthority(t)
	for name, template := range cases {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			public, err := publicKey(csr(t, key, template))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := testIssuer().Issue(signer, sleep(t), public, 0)
			if err != nil {
				t.Fatal(err)
			}
			checkSleep(t, leaf, key)
		})
	}
}

func checkSleep(t *testing.T, leaf *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	if !key.PublicKey.Equal(leaf.PublicKey) {
		t.Error("not the key of the request")
	}
	if id, err := spiffe.FromCertificate(leaf); err != nil || id != sleep(t).id {
		t.Errorf("identity %v, %v", id, err)
	}
	if n := len(leaf.DNSNames) + len(leaf.IPAddresses) + len(leaf.EmailAddresses); n != 0 {
		t.Errorf("%d further names", n)
	}
	if leaf.IsCA || !leaf.BasicConstraintsValid || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("CA %v, key usage %b", leaf.IsCA, leaf.KeyUsage)
	}
	if leaf.Subject.String() != "CN=sleep" {
		t.Errorf("subject %s", leaf.Subject)
	}
	var extensions []string
	for _, e := range leaf.Extensions {
		extensions = append(extensions, e.Id.String())
	}
	slices.Sort(extensions)
	if diff := cmp.Diff([]string{"2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37"}, extensions); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
}

func TestPublicKey(t *testing.T) {
	ecdsaKey := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0") // to make what must be refused
	plain := func(key crypto.Signer) string { return csr(t, key, x509.CertificateRequest{}) }
	good := plain(newKey(t))
	cases := map[string]struct {
		csr  string
		want string // reason of the refusal; empty: accepted
	}{
		"P256":         {plain(ecdsaKey(elliptic.P256())), ""},
		"P384":         {plain(ecdsaKey(elliptic.P384())), ""},
		"RSA2048":      {plain(rsaKey(2048)), ""},
		"RSA2048PSS":   {csr(t, rsaKey(2048), x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSAPSS}), ""},
		"SHA1":         {csr(t, newKey(t), x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA1}), "csr_signature"},
		"P224":         {plain(ecdsaKey(elliptic.P224())), "csr_key"},
		"P521":         {plain(ecdsaKey(elliptic.P521())), "csr_key"},
		"RSA1024":      {plain(rsaKey(1024)), "csr_key"},
		"Ed25519":      {plain(edKey), "csr_key"},
		"BadSignature": {withBadSignature(t), "csr_signature"},
		"OtherKey":     {withOtherKey(t), "csr_signature"},
		"Huge":         {csr(t, newKey(t), x509.CertificateRequest{DNSNames: []string{strings.Repeat("x", 20<<10)}}), "csr_malformed"},
		"Empty":        {"", "csr_malformed"},
		"Text":         {"hello", "csr_malformed"},
		"TwoBlocks":    {good + good, "csr_malformed"},
		"Certificate":  {strings.ReplaceAll(good, "CERTIFICATE REQUEST", "CERTIFICATE"), "csr_malformed"},
		"Garbled":      {requestPEM([]byte{0x30, 0x00}), "csr_malformed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := publicKey(c.csr)
			if got := reasonOf(err); got != c.want {
				t.Errorf("refused %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

// A signature costs the square of the key's length to check, so an untrusted client does not choose it.
func TestRSAKeySizeIsLimited(t *testing.T) {
	key := func(bits, exponent int) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: exponent}
	}
	for reason, c := range map[string]struct {
		key *rsa.PublicKey
		ok  bool
	}{
		"4096 bits are enough":        {key(4096, 65537), true},
		"more cost too much":          {key(4097, 65537), false},
		"16384 bits take seconds":     {key(16384, 65537), false},
		"an exponent of 3 is brittle": {key(2048, 3), false},
	} {
		if err := checkKey(c.key); (err == nil) != c.ok {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// withBadSignature flips the last byte of a request.
func withBadSignature(t *testing.T) string {
	t.Helper()
	request := mustParse(t, csr(t, newKey(t), x509.CertificateRequest{}))
	der := slices.Clone(request.Raw)
	der[len(der)-1] ^= 1
	return requestPEM(der)
}

// withOtherKey puts somebody else's public key into a signed request.
func withOtherKey(t *testing.T) string {
	t.Helper()
	request := mustParse(t, csr(t, newKey(t), x509.CertificateRequest{}))
	other := mustParse(t, csr(t, newKey(t), x509.CertificateRequest{}))
	return requestPEM(bytes.Replace(request.Raw, request.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo, 1))
}

func mustParse(t *testing.T, text string) *x509.CertificateRequest {
	t.Helper()
	request, err := parseRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func FuzzPublicKey(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := publicKey(text)
		if (key == nil) == (err == nil) {
			t.Fatalf("key %v, error %v", key, err)
		}
		if err == nil && checkKey(key) != nil {
			t.Errorf("accepted %T that is not admitted", key)
		}
	})
}

func TestCertificateLifetime(t *testing.T) {
	const hour = time.Hour
	signer := newAuthority(t)
	dying, err := generateRoot("cluster.local", 3*hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		signer  *authority
		seconds int64
		want    time.Duration
	}{
		"Default":         {signer, 0, 24 * hour},
		"Asked":           {signer, 3600, hour},
		"AboveTTL":        {signer, 90 * 24 * 3600, 24 * hour},
		"Overflow":        {signer, 1 << 62, 24 * hour},
		"Negative":        {signer, -5, 24 * hour},
		"NotBeyondSigner": {dying, 0, 3 * hour},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			leaf, err := testIssuer().Issue(c.signer, sleep(t), newKey(t).Public(), lifetime(c.seconds))
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(leaf.NotAfter).Round(time.Minute); got != c.want {
				t.Errorf("lives %s, want %s", got, c.want)
			}
			if leaf.NotAfter.After(c.signer.cert.NotAfter) || leaf.NotBefore.Before(c.signer.cert.NotBefore) {
				t.Error("lives outside of its signer's life")
			}
		})
	}
}

func TestExpiredRootSignsNothing(t *testing.T) {
	i := testIssuer()
	i.now = func() time.Time { return time.Now().Add(20 * 365 * 24 * time.Hour) }
	if leaf, err := i.Issue(newAuthority(t), sleep(t), newKey(t).Public(), 0); err == nil {
		t.Errorf("issued until %s", leaf.NotAfter)
	}
}

// Each case changes one field of a signed certificate; check must find it.
func TestCheckFindsEveryDefect(t *testing.T) {
	signer, key := newAuthority(t), newKey(t)
	i := testIssuer()
	defects := map[string]func(*x509.Certificate){
		"CA":       func(c *x509.Certificate) { c.IsCA = true },
		"CertSign": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"Usage": func(c *x509.Certificate) {
			c.ExtKeyUsage = append(slices.Clone(c.ExtKeyUsage), x509.ExtKeyUsageCodeSigning)
		},
		"NoURI":       func(c *x509.Certificate) { c.URIs = nil },
		"SecondURI":   func(c *x509.Certificate) { c.URIs = append(slices.Clone(c.URIs), c.URIs[0]) },
		"DNS":         func(c *x509.Certificate) { c.DNSNames = []string{"x"} },
		"IP":          func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(1, 2, 3, 4)} },
		"Lifetime":    func(c *x509.Certificate) { c.NotAfter = time.Now().Add(25 * time.Hour) },
		"Constraints": func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"Key":         func(c *x509.Certificate) { c.PublicKey = newKey(t).Public() },
	}
	for name, breakIt := range defects {
		t.Run(name, func(t *testing.T) {
			leaf, err := i.Issue(signer, sleep(t), key.Public(), 0)
			if err != nil {
				t.Fatal(err)
			}
			breakIt(leaf)
			if i.check(signer, sleep(t), key.Public(), leaf) == nil {
				t.Error("not seen")
			}
		})
	}
	leaf, err := i.Issue(signer, sleep(t), key.Public(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if i.check(newAuthority(t), sleep(t), key.Public(), leaf) == nil {
		t.Error("a signature of another root is not seen")
	}
	now := time.Now()
	i.now = func() time.Time { // goes back between the signature and the check
		now = now.Add(-time.Hour)
		return now
	}
	if _, err := i.Issue(signer, sleep(t), key.Public(), i.ttl); err == nil || !strings.Contains(err.Error(), "check own certificate") {
		t.Errorf("a certificate that check refuses is issued: %v", err)
	}
}
