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

// TestHTTP2IsNotOffered is about CVE-2023-44487; the TLS configuration of the test would allow it.
func TestHTTP2IsNotOffered(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{certificate(t)}}
	go func() { done <- serve(ctx, listener, config, handler(allow)) }()
	client := func(protocols ...string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols} // the test is about protocols
	}
	if conn, err := tls.Dial("tcp", listener.Addr().String(), client("h2")); err == nil {
		t.Errorf("a client that offers only HTTP/2 gets %q", conn.ConnectionState().NegotiatedProtocol)
		conn.Close()
	}
	conn, err := tls.Dial("tcp", listener.Addr().String(), client("h2", "http/1.1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
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

// TestServeDrains: a webhook continues to answer for drainTime after SIGTERM.
func TestServeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		lingering, cancel := linger(ctx)
		defer cancel()
		end()
		asked := time.Now()
		<-lingering.Done()
		if took := time.Since(asked); took != drainTime {
			t.Errorf("ended %s after the context, want %s", took, drainTime)
		}
	})
}

// TestConnectionsCloseWhileDraining: only responses after the context has ended close their connections.
func TestConnectionsCloseWhileDraining(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	server := httptest.NewServer(closeWhenDone(ctx, handler(allow)))
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

// TestSlowBodyTimesOut: a body that arrives byte by byte is refused after readTime.
func TestSlowBodyTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- httpserver.ServeListener(ctx, listener, handler(allow)) }()
		near, far := net.Pipe()
		listener <- far
		go io.Copy(io.Discard, near)
		_, _ = io.WriteString(near, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
		started := time.Now()
		for {
			if _, err := io.WriteString(near, " "); err != nil || time.Since(started) > time.Minute {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(started); took > readTime+20*time.Second {
			t.Errorf("the body was read for %s", took)
		}
		near.Close()
		cancel()
		close(listener)
		<-done
	})
}

// TestLargeBodiesHaveOwnSlots: as many large bodies as there are slots wait in the reviewer; one more is refused,
// and an ordinary request is answered at once.
func TestLargeBodiesHaveOwnSlots(t *testing.T) {
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
		for range largeSlots {
			go post(large)
		}
		synctest.Wait()
		if code := post(large); code != http.StatusTooManyRequests {
			t.Errorf("one more large body: status %d", code)
		}
		started := time.Now()
		if code := post(valid); code != http.StatusOK || time.Since(started) > 10*time.Second {
			t.Errorf("an ordinary request meanwhile: status %d after %s", code, time.Since(started))
		}
		close(release)
	})
}
