package admission

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mesh-operator/mesh-operator/internal/httpserver"
)

// TestHTTP2IsNotSpoken is about CVE-2023-44487, even when the TLS configuration would allow it.
func TestHTTP2IsNotSpoken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{certificate(t)}}
	go func() { done <- serve(ctx, listener, config, handler(allow)) }()
	client := func(protocols ...string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols} //nolint:gosec // the test is about protocols
	}
	if conn, err := tls.Dial("tcp", listener.Addr().String(), client("h2")); err == nil {
		t.Errorf("a client of HTTP/2 alone is served %q", conn.ConnectionState().NegotiatedProtocol)
		conn.Close()
	}
	conn, err := tls.Dial("tcp", listener.Addr().String(), client("h2", "http/1.1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("%q is spoken", got)
	}
	conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestLameDuck: a webhook answers on for a while after its pod was told to end.
func TestLameDuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		lingering, cancel := linger(ctx)
		defer cancel()
		end()
		asked := time.Now()
		<-lingering.Done()
		if took := time.Since(asked); took != lameDuck {
			t.Errorf("it ended %s after it was asked to, want %s", took, lameDuck)
		}
	})
}

// TestClientsAreSentAway: the last answers of a webhook end their connections, the ones before do not.
func TestClientsAreSentAway(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	server := httptest.NewServer(sendAway(ctx, handler(allow)))
	defer server.Close()
	closes := func() bool {
		answer, err := server.Client().Post(server.URL, "application/json", strings.NewReader(valid))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.Close
	}
	if closes() {
		t.Error("a connection of a webhook that goes on is closed")
	}
	end()
	if !closes() {
		t.Error("a connection of a webhook that ends is kept")
	}
}

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestADrippingBodyIsLeft: a body has a time to arrive in, however steadily it drips.
func TestADrippingBodyIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- httpserver.ServeListener(ctx, listener, handler(allow)) }()
		near, far := net.Pipe()
		listener <- far
		go io.Copy(io.Discard, near) //nolint:errcheck // ends with the connection
		_, _ = io.WriteString(near, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
		started := time.Now()
		for {
			if _, err := io.WriteString(near, " "); err != nil || time.Since(started) > time.Minute {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(started); took > readTime+20*time.Second {
			t.Errorf("dripped for %s", took)
		}
		near.Close()
		cancel()
		close(listener)
		<-done
	})
}

// TestLargeQuestionsLeavePlaces: as many large bodies as there are places wait in the reviewer; one more is refused in time,
// and an ordinary question is answered at once.
func TestLargeQuestionsLeavePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := handler(func(_ context.Context, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			if r.Name == "slow" {
				<-release
			}
			return Allow()
		})
		post := func(body string) int {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		large := strings.Replace(valid, `"uid":"1"`, `"uid":"1","name":"slow"`, 1) + strings.Repeat(" ", smallBody)
		for range fewPlaces {
			go post(large)
		}
		synctest.Wait()
		if code := post(large); code != http.StatusTooManyRequests {
			t.Errorf("one more large body: status %d", code)
		}
		started := time.Now()
		if code := post(valid); code != http.StatusOK || time.Since(started) > 10*time.Second {
			t.Errorf("an ordinary question meanwhile: status %d after %s", code, time.Since(started))
		}
		close(release)
	})
}
