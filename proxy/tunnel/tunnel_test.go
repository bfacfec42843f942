package tunnel

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

const (
	jaeger         = "spiffe://cluster.local/ns/istio-system/sa/jaeger"
	otherNamespace = "spiffe://cluster.local/ns/shop/sa/jaeger"
	storage        = "spiffe://cluster.local/ns/istio-system/sa/elasticsearch"
)

// TestTunnelForwardsOnlyTheAllowed runs both ends: the client with each identity gets an answer or none.
func TestTunnelForwardsOnlyTheAllowed(t *testing.T) {
	mesh, other := newAuthority(t), newAuthority(t)
	behind := serveLines(t)
	allowed, err := spiffe.Parse(jaeger)
	if err != nil {
		t.Fatal(err)
	}
	server := start(t, NewServer(mesh.server(storage), behind, []spiffe.ID{allowed}, quiet))
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"allowed":                         {mesh.client(jaeger, Protocol), "hello back"},
		"an account of another namespace": {mesh.client(otherNamespace, Protocol), ""},
		"another mesh":                    {other.clientOf(mesh, jaeger), ""},
		"no certificate":                  {&tls.Config{RootCAs: mesh.pool(), ServerName: "127.0.0.1", NextProtos: []string{Protocol}}, ""},
		"another protocol":                {mesh.client(jaeger, "h2"), ""},
		"no protocol":                     {mesh.client(jaeger), ""},
		"a server of another mesh":        {&tls.Config{RootCAs: other.pool(), ServerName: "127.0.0.1", NextProtos: []string{Protocol}, Certificates: mesh.client(jaeger).Certificates}, ""},
	} {
		client := start(t, NewClient(c.config, server, quiet))
		if got := say(t, client, "hello"); got != c.want {
			t.Errorf("%s: the answer is %q, want %q", name, got, c.want)
		}
	}
	if got := say(t, server, "hello"); got != "" {
		t.Errorf("without TLS the answer is %q", got)
	}
}

// TestTunnelClosesHalf: the program behind the tunnel sees the end of the request before it answers.
func TestTunnelClosesHalf(t *testing.T) {
	mesh := newAuthority(t)
	behind := serve(t, func(conn net.Conn) {
		request, _ := io.ReadAll(conn)
		_, _ = conn.Write([]byte(strings.ToUpper(string(request))))
	})
	id, _ := spiffe.Parse(jaeger)
	server := start(t, NewServer(mesh.server(storage), behind, []spiffe.ID{id}, quiet))
	conn, err := net.Dial("tcp", start(t, NewClient(mesh.client(jaeger, Protocol), server, quiet)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("spans")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); string(answer) != "SPANS" || err != nil {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

func TestReady(t *testing.T) {
	status := http.StatusOK
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("secret"))
	}))
	defer target.Close()
	var certificate error
	probe := func() (int, string) {
		recorder := httptest.NewRecorder()
		handler := Ready("/ready", func() error { return certificate }, target.URL)
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/ready", nil))
		return recorder.Code, recorder.Body.String()
	}
	if code, _ := probe(); code != 200 {
		t.Errorf("the probe answers %d", code)
	}
	status = http.StatusInternalServerError
	if code, body := probe(); code != 503 || strings.Contains(body, "secret") {
		t.Errorf("with an unready target the probe answers %d %s", code, body)
	}
	status, certificate = http.StatusOK, errors.New("no certificate yet")
	if code, _ := probe(); code != 503 {
		t.Errorf("without a certificate the probe answers %d", code)
	}
}

var quiet = slog.New(slog.DiscardHandler)

// start serves a tunnel on loopback and returns its address.
func start(t *testing.T, tunnel *Tunnel) string {
	t.Helper()
	listener, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tunnel.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// serve calls handle with each connection.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func serveLines(t *testing.T) string {
	return serve(t, func(conn net.Conn) {
		if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
			_, _ = conn.Write([]byte(strings.TrimSpace(line) + " back\n"))
		}
	})
}

// say returns the answer to one line, "" when there is none.
func say(t *testing.T, address, line string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(line + "\n")); err != nil {
		return ""
	}
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer)
}

// authority signs certificates for the tests.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.root = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(c, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *authority) leaf(identity string) tls.Certificate {
	uri, _ := url.Parse(identity)
	key := newKey(a.t)
	cert := a.sign(&x509.Certificate{
		URIs: []*url.URL{uri}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.root, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func (a *authority) server(identity string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.leaf(identity)}, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{Protocol}, MinVersion: tls.VersionTLS12,
	}
}

func (a *authority) client(identity string, protocols ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.leaf(identity)}, RootCAs: a.pool(), ServerName: "127.0.0.1", NextProtos: protocols}
}

// clientOf has a certificate of a and trusts the other authority.
func (a *authority) clientOf(other *authority, identity string) *tls.Config {
	config := a.client(identity, Protocol)
	config.RootCAs = other.pool()
	return config
}
