package certfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// authority returns a self-signed certificate, and the same with a version that does not exist.
func authority(t *testing.T, name string) (good, bad []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2031, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	version3, version9 := []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 8}
	return encode(der), encode(bytes.Replace(der, version3, version9, 1))
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestCheckAuthoritiesNamesInvalidCertificate: in a list of 150 authorities "not a list of certificates" is no help.
func TestCheckAuthoritiesNamesInvalidCertificate(t *testing.T) {
	good, bad := authority(t, "bank root")
	garbage := encode([]byte("garbage"))
	cut := append(bytes.Clone(good[:len(good)/2]), '\n')
	for name, c := range map[string]struct {
		parts [][]byte
		want  string
	}{
		"Good":          {[][]byte{good, good}, ""},
		"Comments":      {[][]byte{[]byte("# bank\n"), good, []byte("\n# its other ---- root\n"), good, []byte("\n\n")}, ""},
		"None":          {[][]byte{[]byte("# bank\n")}, "has no PEM certificate"},
		"Unparsable":    {[][]byte{good, good, bad}, `number 3: "CN=bank root", valid until 2031-01-02: x509: invalid version`},
		"Garbage":       {[][]byte{good, garbage, good}, "number 2: of unknown subject: x509: malformed certificate"},
		"CutInTheEnd":   {[][]byte{good, cut}, "number 2 is cut off or not base64"},
		"CutInBetween":  {[][]byte{good, cut, good}, "number 2 is cut off or not base64"},
		"CutAtTheStart": {[][]byte{cut, good}, "number 1 is cut off or not base64"},
		"OnlyCut":       {[][]byte{cut}, "number 1 is cut off or not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckAuthorities(bytes.Join(c.parts, nil))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestCheckPairChecksWholeChain: Envoy parses all certificates of a chain, and refuses it for a damaged one at any place.
func TestCheckPairChecksWholeChain(t *testing.T) {
	leaf, key := keyPair(t)
	good, bad := authority(t, "issuer")
	cut := append(bytes.Clone(good[:len(good)/2]), '\n')
	for name, c := range map[string]struct {
		parts [][]byte
		want  string
	}{
		"Leaf":         {[][]byte{leaf}, ""},
		"Chain":        {[][]byte{leaf, []byte("# issuer\n"), good}, ""},
		"KeyInChain":   {[][]byte{key, leaf, good}, ""},
		"Unparsable":   {[][]byte{leaf, good, bad}, `number 3: "CN=issuer", valid until 2031-01-02: x509: invalid version`},
		"Garbage":      {[][]byte{leaf, encode([]byte("garbage"))}, "number 2: of unknown subject: x509: malformed certificate"},
		"CutInTheEnd":  {[][]byte{leaf, cut}, "number 2 is cut off or not base64"},
		"CutInBetween": {[][]byte{leaf, cut, good}, "number 2 is cut off or not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckPair(bytes.Join(c.parts, nil), key)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func keyPair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(8), NotAfter: time.Date(2031, 1, 2, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// FuzzCheckAuthorities: no list that is followed by half a certificate passes.
func FuzzCheckAuthorities(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAAwAA==\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("\n-----BEGIN CERTIFICATE-----\n-----BEGIN X-----\n\n-----END X-----\n"))
	f.Add([]byte("MAAwAA=="))
	f.Fuzz(func(t *testing.T, text []byte) {
		describe(text)
		if CheckAuthorities(append(text, "\n-----BEGIN CERTIFICATE-----\nMAAw"...)) == nil {
			t.Errorf("%q passes", text)
		}
	})
}
