package ingress

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func newForwarder(dial func(context.Context, string, string) (net.Conn, error)) *Forwarder {
	return &Forwarder{Dial: dial, Node: "10.0.0.1", Log: slog.New(slog.DiscardHandler)}
}

// TestHalfClose: a server that answers after the end of the request gets that end, and its answer arrives.
func TestHalfClose(t *testing.T) {
	inside, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	go func() {
		conn, err := inside.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request, _ := io.ReadAll(conn)
		conn.Write([]byte(strings.ToUpper(string(request))))
	}()
	f := newForwarder(new(net.Dialer).DialContext)
	listener, err := f.Open(0, inside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn := dialForwarder(t, listener)
	conn.Write([]byte("hello"))
	conn.CloseWrite()
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "HELLO" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

// TestUnreachable expects the connection to be closed at once when the target is down.
func TestUnreachable(t *testing.T) {
	f := newForwarder(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") })
	listener, err := f.Open(0, "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := dialForwarder(t, listener).Read(make([]byte, 1)); err == nil {
		t.Error("read from a target that is down")
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	f := newForwarder(new(net.Dialer).DialContext)
	listener, err := f.Open(port, "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	other := listener.Addr().(*net.TCPAddr)
	if other.Port == port || !other.IP.IsLoopback() {
		t.Errorf("listens on %s", other)
	}
}

func dialForwarder(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn.(*net.TCPConn)
}
