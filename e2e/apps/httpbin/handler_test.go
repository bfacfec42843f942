package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ask(t *testing.T, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("X-Test", "yes")
	w := httptest.NewRecorder()
	newHandler("v2", slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	cases := map[string]struct {
		method, path string
		status       int
		has          string
	}{
		"Status":         {"GET", "/status/503", 503, ""},
		"StatusOfHead":   {"HEAD", "/status/200", 200, ""},
		"StatusOfPost":   {"POST", "/status/201", 201, ""},
		"NoStatus":       {"GET", "/status/99", 400, "200 to 599"},
		"StatusIsNumber": {"GET", "/status/x", 400, "200 to 599"},
		"Headers":        {"GET", "/headers", 200, `"X-Test":"yes"`},
		"IP":             {"GET", "/ip", 200, `"origin":"192.0.2.1"`},
		"Get":            {"GET", "/get?a=1", 200, `"a":"1"`},
		"GetIsNoPost":    {"POST", "/get", 405, ""},
		"NoDelay":        {"GET", "/delay/0", 200, `"version":"v2"`},
		"DelayIsNumber":  {"GET", "/delay/x", 400, "seconds"},
		"DelayIsFinite":  {"GET", "/delay/NaN", 400, "seconds"},
		"Anything":       {"PUT", "/anything/a/b", 200, `"url":"http://example.com/anything/a/b"`},
		"NoTLS":          {"GET", "/tls", 200, `{"tls":false}`},
		"Health":         {"GET", "/health", 200, "healthy"},
		"Unknown":        {"GET", "/no-such-path", 404, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := ask(t, c.method, c.path, "")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("status %d, body %s", w.Code, w.Body)
			}
		})
	}
}

func TestPostEchoesBody(t *testing.T) {
	var got seen
	if err := json.Unmarshal(ask(t, "POST", "/post?b=2", "hello").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := seen{
		Args: map[string]string{"b": "2"}, Data: "hello", Method: "POST", Origin: "192.0.2.1", Version: "v2",
		Headers: map[string]string{"Host": "example.com", "X-Test": "yes"}, URL: "http://example.com/post?b=2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if code := ask(t, "POST", "/post", strings.Repeat("x", maxBody+1)).Code; code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body gets %d", code)
	}
}

func TestDelayWaits(t *testing.T) {
	started := time.Now()
	ask(t, "GET", "/delay/0.05", "")
	if took := time.Since(started); took < 50*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

// TestTLS expects a refusal without a certificate of the authority, and the subject with one.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	authority := certificate(t, dir, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil)
	certificate(t, dir, "own", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, &authority)
	client := certificate(t, dir, "client", &x509.Certificate{Subject: pkix.Name{CommonName: "somebody"}}, &authority)
	config, err := tlsConfig(filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key"), filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(newHandler("v1", slog.New(slog.DiscardHandler)))
	server.TLS, server.Config.ErrorLog = config, log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	get := func(certificates ...tls.Certificate) (string, error) {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}}
		defer c.CloseIdleConnections()
		response, err := c.Get(server.URL + "/tls")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	if body, err := get(client); err != nil || !strings.Contains(body, `"client":"CN=somebody"`) {
		t.Errorf("%s %v", body, err)
	}
	if body, err := get(); err == nil {
		t.Errorf("a client without a certificate gets %s", body)
	}
	if _, err := tlsConfig(filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key"), filepath.Join(dir, "own.key")); err == nil {
		t.Error("a key was accepted as an authority")
	}
}

// certificate writes name.crt and name.key, signed by parent or, without one, by itself.
func certificate(t *testing.T, dir, name string, template *x509.Certificate, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
