// Package certclient keeps one certificate of the mesh fresh: it makes a key in memory, asks the CA for a certificate,
// checks the answer, and does so again long before it expires. The control plane's servers and the proxy agent all get
// their certificates here.
//
// What it believes comes from two files that others renew: the service account token that proves to the CA who is asking,
// and the trust bundle that proves who answers. Both are read again every time. Without a bundle it asks nobody: it waits.
// Keys are never written anywhere and every certificate has a new one.
package certclient

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// Where the charts and the injector mount what a client reads.
const (
	DefaultAddress   = "istio-citadel.istio-system.svc:8060"
	DefaultTokenFile = "/var/run/secrets/tokens/istio-token"
	DefaultRootFile  = "/var/run/secrets/istio/root-cert.pem"
)

const (
	followInterval = 10 * time.Second // how old the view of the bundle file may be
	waitInterval   = time.Second      // the same while there is no certificate yet
	firstBackOff   = 500 * time.Millisecond
	longestBackOff = 30 * time.Second
	// busyBackOff is the longest for a CA that says it has too much to do. With its jitter it ends at two minutes: a whole mesh
	// that asks again leaves the CA time to answer, and a starting proxy has its ten minutes for several tries.
	busyBackOff = 80 * time.Second
)

// Options say where the CA is and what to present to it.
type Options struct {
	Address    string        // host:port of the CA
	ServerName string        // DNS name in the CA's certificate; empty: the host of Address
	TokenFile  string        // service account token for the CA's audience
	RootFile   string        // trust bundle; waited for when it does not exist yet
	TTL        time.Duration // lifetime to ask for; 0: what the CA gives
	Logger     *slog.Logger

	// Dial replaces the TCP connection to Address; nil: the network.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Client holds the current certificate and bundle. Its methods may be called at any time from any goroutine.
type Client struct {
	o Options

	mu          sync.Mutex
	certificate *tls.Certificate
	bundle      trust.Bundle
	subscribers map[<-chan struct{}]chan struct{}
	ready       chan struct{} // closed with the first certificate
}

// New returns a client without a certificate. It starts nothing.
func New(o Options) *Client {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.ServerName == "" {
		o.ServerName, _, _ = net.SplitHostPort(o.Address)
	}
	return &Client{o: o, subscribers: map[<-chan struct{}]chan struct{}{}, ready: make(chan struct{})}
}

// Run obtains and renews until ctx ends. It never gives up: what it needs may come later.
func (c *Client) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var s schedule
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(c.step(ctx, &s))
		}
	}
}

// schedule is when to ask the CA next; the zero value is now.
type schedule struct {
	renew   time.Time
	backOff time.Duration // 0: the last request succeeded
}

// step looks at the bundle file, asks for a certificate when it is time to, and returns how long to wait for the next step.
func (c *Client) step(ctx context.Context, s *schedule) time.Duration {
	changed, err := c.followBundle()
	if err != nil {
		c.o.Logger.Warn("trust bundle not readable", "file", c.o.RootFile, "error", err)
	}
	bundle, current := c.Roots(), c.Certificate()
	if bundle.Empty() {
		return waitInterval
	}
	if changed && (s.backOff > 0 || verifyChain(current, bundle) != nil) {
		*s = schedule{} // the reason of the last failure may be gone, or our peers no longer believe us
	}
	if !time.Now().Before(s.renew) {
		c.renew(ctx, bundle, s)
	}
	return max(0, min(followInterval, time.Until(s.renew)))
}

func (c *Client) renew(ctx context.Context, bundle trust.Bundle, s *schedule) {
	certificate, err := c.obtain(ctx, bundle)
	if err != nil {
		s.backOff = backOff(s.backOff, err)
		wait := jitter(s.backOff, 0.5)
		s.renew = time.Now().Add(wait) // a wall clock that ran ahead when the node started would make it hours
		if ctx.Err() == nil {
			c.o.Logger.Warn("no certificate from the CA", "ca", c.o.Address, "retry", wait.Round(time.Millisecond), "error", err)
		}
		return
	}
	*s = schedule{renew: wallClock(jitter(time.Until(certificate.Leaf.NotAfter)/2, 0.1))}
	c.publish(certificate)
	c.o.Logger.Info("certificate obtained", "identity", certificate.Leaf.URIs[0].String(), "serial", certificate.Leaf.SerialNumber.Text(16),
		"expires", certificate.Leaf.NotAfter, "renewal", s.renew)
}

// backOff returns how long to wait after err, before the jitter, when it was last the time before.
func backOff(last time.Duration, err error) time.Duration {
	longest := longestBackOff
	if status.Code(err) == codes.ResourceExhausted {
		longest = busyBackOff
	}
	return min(longest, max(firstBackOff, 2*last))
}

// wallClock returns the time after d without its monotonic part: certificates also age while a machine sleeps.
func wallClock(d time.Duration) time.Time { return time.Now().Add(d).Round(0) }

// followBundle takes over a changed bundle file. A file that can't be read leaves the last good bundle in force: a volume
// that is being replaced must not take a running server down.
func (c *Client) followBundle() (changed bool, err error) {
	text, err := os.ReadFile(c.o.RootFile)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // mounted optional: it appears when the CA has written it
	}
	if err != nil {
		return false, err
	}
	bundle, err := trust.Parse(text)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bundle.Equal(c.bundle) {
		return false, nil
	}
	c.bundle = bundle
	c.notify()
	return true, nil
}

func (c *Client) publish(certificate *tls.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certificate == nil {
		close(c.ready)
	}
	c.certificate = certificate
	c.notify()
}

// notify is called with the lock held. A subscriber that has not looked yet needs no second notice.
func (c *Client) notify() {
	for _, ch := range c.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Certificate returns the current certificate with its key and intermediates, nil until the first one is there.
func (c *Client) Certificate() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certificate
}

// Bundle returns the current trust bundle as PEM, nil until the file is there.
func (c *Client) Bundle() []byte { return c.Roots().PEM() }

// Roots returns the current trust bundle.
func (c *Client) Roots() trust.Bundle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundle
}

// Subscribe returns a channel that has a value after the certificate or the bundle has changed; changes between two looks
// are one. Unsubscribe gives it back.
func (c *Client) Subscribe() <-chan struct{} {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers[ch] = ch
	return ch
}

// Unsubscribe ends what Subscribe began. The channel is not closed.
func (c *Client) Unsubscribe(ch <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subscribers, ch)
}

// WaitReady blocks until there is a certificate or ctx ends.
func (c *Client) WaitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CheckReady is the same question without waiting: for a readiness endpoint. An expired certificate is none.
func (c *Client) CheckReady() error {
	switch certificate := c.Certificate(); {
	case certificate == nil && c.Roots().Empty():
		return errors.New("waiting for the trust bundle " + c.o.RootFile)
	case certificate == nil:
		return errors.New("waiting for a certificate from " + c.o.Address)
	case time.Now().After(certificate.Leaf.NotAfter):
		return errors.New("the certificate has expired and " + c.o.Address + " gives no new one")
	}
	return nil
}
