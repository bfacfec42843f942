package httpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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

// TestServerClosesSlowConnection has clients that send nothing, half a header, and that never read.
func TestServerClosesSlowConnection(t *testing.T) {
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

// TestServerAnswersRequestInFlight: at the end of the process a request has its grace, and no more than that.
func TestServerAnswersRequestInFlight(t *testing.T) {
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
