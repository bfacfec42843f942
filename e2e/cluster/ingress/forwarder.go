package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"
)

// Forwarder listens on 127.0.0.1 of the host and connects each caller to an address inside the cluster. No packet passes
// between the two networks: bytes are copied by this process.
type Forwarder struct {
	// Dial connects inside the cluster.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Node is the address that node ports are reached at.
	Node string
	Log  *slog.Logger
}

const loopback = "127.0.0.1"

// dialTimeout bounds how long a caller waits for the inside.
const dialTimeout = 10 * time.Second

// Open listens on the wanted port, or on a free one when another program has it.
func (f *Forwarder) Open(port int, target string) (net.Listener, error) {
	listener, err := listen(port)
	if err != nil {
		if listener, err = listen(0); err != nil {
			return nil, fmt.Errorf("listen for %s: %w", target, err)
		}
		f.Log.Warn("port taken, another one used", "wanted", port, "address", listener.Addr().String())
	}
	go f.serve(listener, target)
	return listener, nil
}

// OpenFrom listens on the first free port from the given one up, and never stops. It returns the address.
func (f *Forwarder) OpenFrom(first int, target string) (string, error) {
	var failed error
	for port := first; port < first+100; port++ {
		listener, err := listen(port)
		if err == nil {
			go f.serve(listener, target)
			return listener.Addr().String(), nil
		}
		failed = err
	}
	return "", failed
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
}

func (f *Forwarder) serve(listener net.Listener, target string) {
	for {
		outside, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			f.Log.Error("connection not accepted", "target", target, "error", err)
			time.Sleep(50 * time.Millisecond) // out of descriptors: do not spin
			continue
		}
		go f.connect(outside, target)
	}
}

func (f *Forwarder) connect(outside net.Conn, target string) {
	defer outside.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	inside, err := f.Dial(ctx, "tcp", target)
	cancel()
	if err != nil {
		f.Log.Warn("target not reached", "target", target, "error", err)
		return
	}
	defer inside.Close()
	join(outside, inside)
}

// join copies both ways and passes on each side's end of data, which many protocols wait for.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { copyOneWay(a, b) })
	both.Go(func() { copyOneWay(b, a) })
	both.Wait()
}

func copyOneWay(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // the other side is gone: so be it
		return
	}
	to.Close()
	from.Close()
}
