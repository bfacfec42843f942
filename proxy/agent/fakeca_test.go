package agent

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

const testToken = "token-of-the-test"

// fakeCA signs for clients with the test's token: always the same identity, for ttl.
type fakeCA struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer

	t       *testing.T
	key     *ecdsa.PrivateKey
	root    *x509.Certificate
	address string
	ttl     time.Duration
	leave   func() // ends what start began
}

const testIdentity = "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews"

func newFakeCA(t *testing.T, ttl time.Duration) *fakeCA {
	t.Helper()
	ca := &fakeCA{t: t, key: newKey(t), ttl: ttl}
	ca.root = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "root of the test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	}, nil, ca.key.Public(), ca.key)
	return ca
}

// start serves the CA on loopback, again at the same address: one that no outgoing connection can take in between.
func (ca *fakeCA) start() {
	listener, err := net.Listen("tcp", cmp.Or(ca.address, fmt.Sprintf("127.0.0.1:%d", envoytest.FreePort(ca.t))))
	if err != nil {
		ca.t.Fatal(err)
	}
	ca.address = listener.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.server("127.0.0.1")}})))
	securityv1alpha1.RegisterIstioCertificateServiceServer(server, ca)
	go server.Serve(listener)
	ca.leave = server.Stop
	ca.t.Cleanup(server.Stop)
}

func (ca *fakeCA) CreateCertificate(ctx context.Context, r *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+testToken {
		return nil, status.Error(codes.Unauthenticated, "no token")
	}
	block, _ := pem.Decode([]byte(r.Csr))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	leaf := ca.leaf(csr.PublicKey, testIdentity)
	return &securityv1alpha1.IstioCertificateResponse{CertChain: []string{
		string(trust.EncodeCertificate(leaf)), string(trust.EncodeCertificate(ca.root)),
	}}, nil
}

func (ca *fakeCA) leaf(key any, identity string) *x509.Certificate {
	uri, _ := url.Parse(identity)
	return sign(ca.t, &x509.Certificate{
		URIs: []*url.URL{uri}, NotAfter: time.Now().Add(ca.ttl), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca.root, key, ca.key)
}

// server returns a serving certificate for a loopback address.
func (ca *fakeCA) server(ip string) tls.Certificate {
	key := newKey(ca.t)
	cert := sign(ca.t, &x509.Certificate{
		IPAddresses: []net.IP{net.ParseIP(ip)}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.root, key.Public(), ca.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// peer returns a client certificate of the mesh.
func (ca *fakeCA) peer() tls.Certificate {
	key := newKey(ca.t)
	return tls.Certificate{Certificate: [][]byte{ca.leaf(key.Public(), "spiffe://cluster.local/ns/bookinfo/sa/productpage").Raw}, PrivateKey: key}
}

func (ca *fakeCA) pool() *x509.CertPool { return trust.New(ca.root).Pool() }

// clientOptions writes the token and the bundle where certclient looks for them.
func (ca *fakeCA) clientOptions(dir string) certclient.Options {
	o := certclient.Options{Address: ca.address, TokenFile: filepath.Join(dir, "token"), RootFile: filepath.Join(dir, "root.pem")}
	for file, text := range map[string][]byte{o.TokenFile: []byte(testToken), o.RootFile: trust.EncodeCertificate(ca.root)} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			ca.t.Fatal(err)
		}
	}
	return o
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign fills in what all certificates share; a nil parent means self-signed.
func sign(t *testing.T, template, parent *x509.Certificate, public any, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore = time.Now().Add(-time.Minute)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// eventually asks until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
