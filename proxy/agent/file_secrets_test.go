package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// pairPEM returns a client certificate and its key.
func (ca *fakeCA) pairPEM(identity string) (certificate, key []byte) {
	private := newKey(ca.t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		ca.t.Fatal(err)
	}
	return trust.EncodeCertificate(ca.leaf(private.Public(), identity)), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// store is a store of secrets in files with the folder that it must not read.
func store(t *testing.T) (f *fileSecrets, log *buffer, own string) {
	log, own = &buffer{}, t.TempDir()
	return newFileSecrets([]string{own}, slog.New(slog.NewTextHandler(log, nil))), log, own
}

func (f *fileSecrets) ask(name string) (secret, bool) {
	files, _ := certfile.Parse(name)
	return f.get(name, files)
}

// TestFileSecretsKeepLastValid: a pair appears, is renewed, is half written and goes away; Envoy always has one that works.
func TestFileSecretsKeepLastValid(t *testing.T) {
	f, log, _ := store(t)
	ca := newFakeCA(t, time.Hour)
	dir := t.TempDir()
	chain, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	name := certfile.PairName(chain, key)
	for range 3 {
		if _, ok := f.ask(name); ok {
			t.Fatal("a secret of no files")
		}
	}
	if n := strings.Count(log.String(), chain+" does not exist"); n != 1 {
		t.Errorf("the missing file is told %d times: %s", n, log)
	}
	firstChain, firstKey := ca.pairPEM(testIdentity)
	put(t, chain, firstChain)
	if _, ok := f.ask(name); ok || !strings.Contains(log.String(), key+" does not exist") {
		t.Errorf("half a pair is served, or not told: %s", log)
	}
	put(t, key, firstKey)
	first, ok := f.ask(name)
	var sent tlsv3.Secret
	if !ok || proto.Unmarshal(first.body, &sent) != nil || !bytes.Equal(sent.GetTlsCertificate().GetPrivateKey().GetInlineBytes(), firstKey) {
		t.Fatalf("what is there is not served: %v", ok)
	}
	if again, _ := f.ask(name); again.version != first.version {
		t.Error("the same files are another version")
	}
	secondChain, secondKey := ca.pairPEM(testIdentity)
	put(t, chain, secondChain)
	if between, ok := f.ask(name); !ok || between.version != first.version || !strings.Contains(log.String(), "are not a key pair") {
		t.Errorf("a pair that does not fit is served, or not told: %s", log)
	}
	put(t, key, secondKey)
	second, ok := f.ask(name)
	if !ok || second.version == first.version {
		t.Error("the renewed pair is not served")
	}
	os.RemoveAll(dir)
	if last, ok := f.ask(name); !ok || last.version != second.version {
		t.Error("a pair that goes away is taken back")
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

// TestFileSecretsFollowSymlinkSwap: a Secret's volume changes by a link two levels up.
func TestFileSecretsFollowSymlinkSwap(t *testing.T) {
	f, _, _ := store(t)
	dir := t.TempDir()
	swap := func(version string, ca *fakeCA) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, version, "ca.crt"), trust.EncodeCertificate(ca.root))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", newFakeCA(t, time.Hour))
	if err := os.Symlink("..data/ca.crt", filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	name := certfile.RootsName(filepath.Join(dir, "ca.crt"), "")
	first, ok := f.ask(name)
	if !ok {
		t.Fatal("not served")
	}
	swap("..2", newFakeCA(t, time.Hour))
	if second, ok := f.ask(name); !ok || second.version == first.version {
		t.Error("the new authority is not served")
	}
}

// TestFileSecretsWithRevocationLists: authorities whose list is not there, or not one, are not believed without it.
func TestFileSecretsWithRevocationLists(t *testing.T) {
	f, log, _ := store(t)
	ca, dir := newFakeCA(t, time.Hour), t.TempDir()
	roots, list := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.crl")
	put(t, roots, trust.EncodeCertificate(ca.root))
	name := certfile.RootsName(roots, list)
	if _, ok := f.ask(name); ok || !strings.Contains(log.String(), list+" does not exist") {
		t.Errorf("served without the list, or not told: %s", log)
	}
	put(t, list, trust.EncodeCertificate(ca.root))
	if _, ok := f.ask(name); ok || !strings.Contains(log.String(), "is not a list of PEM revocation lists") {
		t.Errorf("served with something else, or not told: %s", log)
	}
	revoke := func(serials ...int64) secret {
		t.Helper()
		template := &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now().Add(time.Hour)}
		for _, serial := range serials {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()})
		}
		issuer := *ca.root
		issuer.KeyUsage |= x509.KeyUsageCRLSign
		der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		put(t, list, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
		got, ok := f.ask(name)
		if !ok {
			t.Fatalf("not served: %s", log)
		}
		return got
	}
	if first, second := revoke(1), revoke(1, 2); first.version == second.version {
		t.Error("another certificate is revoked and the secret stays")
	}
}

// TestFileSecretsRefuseReservedPaths: a rule's author reaches nothing but ordinary files of the user's, and no link helps.
func TestFileSecretsRefuseReservedPaths(t *testing.T) {
	f, log, own := store(t)
	root := trust.EncodeCertificate(newFakeCA(t, time.Hour).root)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, filepath.Join(own, "root.pem"), root)
	put(t, at("large"), bytes.Repeat(root, maxAuthorities/len(root)+1))
	put(t, at("noise"), []byte("no certificate"))
	for link, to := range map[string]string{
		"link": filepath.Join(own, "root.pem"), "folder": own, "self": "/proc/self/environ", "up": "/proc/self/root" + own + "/root.pem", "zero": "/dev/zero",
	} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		filepath.Join(own, "root.pem"):        "which rules may not use",
		at("link"):                            "which rules may not use",
		at("folder") + "/root.pem":            "which rules may not use",
		at("self"):                            "which rules may not use",
		at("up"):                              "which rules may not use",
		at("zero"):                            "which rules may not use",
		at("pipe"):                            "not a regular file",
		dir:                                   "not a regular file",
		at("large"):                           "larger than",
		at("noise"):                           "no PEM certificate",
		at("missing"):                         "does not exist in the proxy",
		dir + "/../" + filepath.Base(dir):     "not the absolute path",
		"relative":                            "not the absolute path",
		"/var/run/secrets/tokens/istio-token": "which rules may not use",
		"/etc/istio/proxy/envoy.json":         "which rules may not use",
		"/proc/self/environ":                  "which rules may not use",
	} {
		if _, ok := f.ask(certfile.RootsName(path, "")); ok {
			t.Errorf("%s is served", path)
		}
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); !strings.Contains(lines[len(lines)-1], says) || !strings.Contains(lines[len(lines)-1], path) {
			t.Errorf("%s: the log says %s, want %q", path, lines[len(lines)-1], says)
		}
	}
	put(t, at("good"), root)
	if _, ok := f.ask(certfile.RootsName(at("good"), "")); !ok {
		t.Errorf("a good file is not served: %s", log)
	}
}
