package connlimit

import (
	"errors"
	"net"
	"testing"
	"time"
)

// TestOneAddressDoesNotTakeAllConnections: a connection beyond the share is closed, and a place that is left is free again.
func TestOneAddressDoesNotTakeAllConnections(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := New(plain, 1, 2)
	defer l.Close()
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	defer dial().Close()
	first := <-accepted
	second := dial()
	defer second.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	var timeout net.Error
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the second connection is open")
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the second connection was left waiting")
	}
	first.Close()
	defer dial().Close()
	(<-accepted).Close()
}
