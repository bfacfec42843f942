package admission

import (
	"net"
	"sync"
)

// boundedListener closes connections beyond its limits at once. One address gets a share only, so that a stranger's
// connections do not keep the API server out.
type boundedListener struct {
	net.Listener
	perAddress, total int

	mu   sync.Mutex
	open map[string]int
	sum  int
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		if l.enter(address) {
			return &boundedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		_ = conn.Close()
	}
}

func (l *boundedListener) enter(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum >= l.total || l.open[address] >= l.perAddress {
		return false
	}
	l.sum++
	l.open[address]++
	return true
}

func (l *boundedListener) leave(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum--
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
