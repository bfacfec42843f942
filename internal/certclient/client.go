// Package certclient obtains and renews one certificate of the mesh: it makes a key in memory, requests a certificate from the
// CA, verifies it, and renews it at half of its lifetime. The control plane's servers and the proxy agent use it.
//
// It reads two files that Kubernetes renews: the service account token that authenticates the client to the CA, and the trust
// bundle that authenticates the CA. Both are read for each request. Without a bundle it waits and sends no request. Keys are
// never written to a file, and every certificate has a new one.
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

	"github.com/mesh-operator/mesh-operator/internal/backoff"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// Where the charts and the injector mount what a client reads.
const (
	DefaultAddress   = "istio-citadel.istio-system.svc:8060"
	DefaultTokenFile = "/var/run/secrets/tokens/istio-token"
	DefaultRootFile  = "/var/run/secrets/istio/root-cert.pem"
)

const (
	followInterval = 10 * time.Second // between two checks of the bundle file
	waitInterval   = time.Second      // the same before the first certificate
	firstBackOff   = 500 * time.Millisecond
	longestBackOff = 30 * time.Second
	// busyBackOff is the longest back-off after ResourceExhausted. With the jitter it is up to two minutes: the retries of a
	// whole mesh must not overload the CA, and a starting proxy should have several attempts in its ten minutes.
	busyBackOff = 80 * time.Second
)

// Options are the address of the CA and the credentials for it.
type Options struct {
	Address    string        // host:port of the CA
	ServerName string        // DNS name in the CA's certificate; empty: the host of Address
	TokenFile  string        // service account token for the CA's audience
	RootFile   string        // trust bundle; the client waits until the file exists
	TTL        time.Duration // requested lifetime; 0: the CA's default
	Logger     *slog.Logger

	// Dial opens the connection to Address; nil: TCP.
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

// Run obtains and renews the certificate until ctx ends. It retries every failure.
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

// schedule is the time of the next request to the CA; the zero value is now.
type schedule struct {
	renew   time.Time
	backOff time.Duration // 0: the last request succeeded
}

// step reads the bundle file, requests a certificate when it is due, and returns the time to the next step.
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
		*s = schedule{} // the new bundle may fix the last failure, or peers may no longer trust the certificate
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
		wait := backoff.Spread(s.backOff, 0.5)
		s.renew = time.Now().Add(wait) // monotonic: a jump of the wall clock must not delay the retry
		if ctx.Err() == nil {
			c.o.Logger.Warn("certificate request failed", "ca", c.o.Address, "retry", wait.Round(time.Millisecond), "error", err)
		}
		return
	}
	*s = schedule{renew: wallClock(backoff.Spread(time.Until(certificate.Leaf.NotAfter)/2, 0.1))}
	c.publish(certificate)
	c.o.Logger.Info("certificate obtained", "identity", certificate.Leaf.URIs[0].String(), "serial", certificate.Leaf.SerialNumber.Text(16),
		"expires", certificate.Leaf.NotAfter, "renewal", s.renew)
}

// backOff returns the back-off after err, without jitter; last is the one before.
func backOff(last time.Duration, err error) time.Duration {
	longest := longestBackOff
	if status.Code(err) == codes.ResourceExhausted {
		longest = busyBackOff
	}
	return backoff.Growth{First: firstBackOff, Longest: longest, Factor: 2}.Next(last)
}

// wallClock returns the time after d without its monotonic part: certificates expire while a machine sleeps, too.
func wallClock(d time.Duration) time.Time { return time.Now().Add(d).Round(0) }

// followBundle loads a changed bundle file. After an error the last valid bundle stays: a volume that is being replaced must
// not break a running server.
func (c *Client) followBundle() (changed bool, err error) {
	text, err := os.ReadFile(c.o.RootFile)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // an optional volume: the file appears when the CA has written the bundle
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

// notify is called with the lock held. A subscriber with an unread notification needs no second one.
func (c *Client) notify() {
	for _, ch := range c.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Certificate returns the current certificate with its key and intermediates; nil before the first one.
func (c *Client) Certificate() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certificate
}

// Bundle returns the current trust bundle as PEM; nil before the file exists.
func (c *Client) Bundle() []byte { return c.Roots().PEM() }

// Roots returns the current trust bundle.
func (c *Client) Roots() trust.Bundle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundle
}

// Subscribe returns a channel that receives a value after the certificate or the bundle has changed. Changes before it is read
// are one value. Unsubscribe releases it.
func (c *Client) Subscribe() <-chan struct{} {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers[ch] = ch
	return ch
}

// Unsubscribe ends a subscription. It does not close the channel.
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

// CheckReady is the readiness check: it returns an error without a valid certificate.
func (c *Client) CheckReady() error {
	switch certificate := c.Certificate(); {
	case certificate == nil && c.Roots().Empty():
		return errors.New("waiting for the trust bundle " + c.o.RootFile)
	case certificate == nil:
		return errors.New("waiting for a certificate from " + c.o.Address)
	case time.Now().After(certificate.Leaf.NotAfter):
		return errors.New("the certificate has expired and " + c.o.Address + " issues no new one")
	}
	return nil
}
