package monitoring

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDebugIsForLoopbackOnly(t *testing.T) {
	for address, ok := range map[string]bool{
		"": true, "127.0.0.1:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":0": false, "localhost:0": false, "192.0.2.1:0": false,
	} {
		s := New("test", Flags{Debug: address}, slog.New(slog.DiscardHandler))
		if err := s.checkDebugAddress(); (err == nil) != ok {
			t.Errorf("--debug-address %q: %v, want ok %v", address, err, ok)
		}
	}
}

// TestTheOpenPortHasThreePages is about CVE-2026-31838: what is for operators of the mesh is not on the port that all
// reach, whatever is registered.
func TestTheOpenPortHasThreePages(t *testing.T) {
	s := New("test", Flags{}, slog.New(slog.DiscardHandler))
	s.SetReady(func() error { return nil })
	s.HandleDebug("syncz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	for path, want := range map[string]int{
		"/ready": 200, "/version": 200, "/metrics": 200, "/": 404, "/debug/syncz": 404, "/debug/pprof/": 404, "/debug/": 404,
		"/metrics/../debug/syncz": 307, "/metrics/..%2fdebug/syncz": 404, "/ready/": 404,
	} {
		w := httptest.NewRecorder()
		s.open().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s answers %d, want %d", path, w.Code, want)
		}
		w = httptest.NewRecorder()
		if s.open().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil)); w.Code == 200 {
			t.Errorf("POST %s answers 200", path)
		}
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

// TestASlowClientIsLeft has clients that send nothing, half a header, and that never read.
func TestASlowClientIsLeft(t *testing.T) {
	for name, sends := range map[string]string{
		"Silence": "", "HalfAHeader": "GET / HTTP/1.1\r\nHost: a\r\n", "ReadsNothing": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := make(pipes)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					done <- ServeListener(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }))
				}()
				near, far := net.Pipe()
				listener <- far
				_, _ = io.WriteString(near, sends)
				time.Sleep(2 * time.Minute)
				_ = near.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(near, "X"); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("after two minutes a write says %v, want a closed connection", err)
				}
				cancel()
				close(listener)
				<-done
			})
		})
	}
}

// TestARequestUnderWayIsAnswered: at the end of the process a request has its grace, and no more than that.
func TestARequestUnderWayIsAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		takes, ends time.Duration
		answered    bool
	}{
		"Short":   {takes: 2 * time.Second, ends: 3 * time.Second, answered: true},
		"Endless": {takes: time.Hour, ends: grace, answered: false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := make(pipes)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					done <- ServeListener(ctx, listener, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						select {
						case <-r.Context().Done():
						case <-time.After(test.takes):
						}
					}))
				}()
				near, far := net.Pipe()
				listener <- far
				_, _ = io.WriteString(near, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				answer := make(chan bool, 1)
				go func() {
					got, _ := io.ReadAll(near)
					answer <- strings.HasPrefix(string(got), "HTTP/1.1 200")
				}()
				synctest.Wait()
				started := time.Now()
				cancel()
				close(listener)
				<-done
				if took := time.Since(started); took > test.ends {
					t.Errorf("the server ended after %s, want at most %s", took, test.ends)
				}
				if got := <-answer; got != test.answered {
					t.Errorf("answered %v, want %v", got, test.answered)
				}
			})
		})
	}
}
