// Package connlimit bounds the connections of a listener. A connection costs memory before anybody has said who he is, and
// no limit on requests is asked by somebody who sends none.
package connlimit

import (
	"net"
	"sync"
)

// New returns a listener that closes connections beyond its limits at once. One address gets a quota, so that the
// connections of an untrusted client do not keep others out.
func New(l net.Listener, perAddress, total int) net.Listener {
	return &listener{Listener: l, perAddress: perAddress, total: total, open: map[string]int{}}
}

type listener struct {
	net.Listener
	perAddress, total int

	mu   sync.Mutex
	open map[string]int
	sum  int
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		plain, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address, _, _ := net.SplitHostPort(plain.RemoteAddr().String())
		if l.enter(address) {
			return &conn{Conn: plain, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		_ = plain.Close()
	}
}

func (l *listener) enter(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum >= l.total || l.open[address] >= l.perAddress {
		return false
	}
	l.sum++
	l.open[address]++
	return true
}

func (l *listener) leave(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum--
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

type conn struct {
	net.Conn
	leave func()
}

func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
