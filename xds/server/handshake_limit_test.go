package server

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

// silent is the stream of a client that does not end its first message.
type silent struct {
	deltaStream
	account string
	reading *atomic.Int64
	end     chan struct{}
}

type accountKey struct{}

func (s silent) Context() context.Context {
	return context.WithValue(context.Background(), accountKey{}, s.account)
}

func (s silent) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	s.reading.Add(1)
	<-s.end
	return nil, io.EOF
}

func byAccount(ctx context.Context) (*spiffe.ID, error) {
	return &spiffe.ID{Namespace: "a", ServiceAccount: ctx.Value(accountKey{}).(string)}, nil
}

// TestHandshakeLimitPerIdentity opens more streams for an identity than it has slots: other identities are not limited
// by it, and a slot is free again when a stream ends.
func TestHandshakeLimitPerIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{server: New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()), identify: byAccount}
		var reading atomic.Int64
		ends, ended := map[string]chan struct{}{"x": make(chan struct{}), "y": make(chan struct{})}, make(chan error)
		open := func(account string) {
			go func() {
				ended <- s.DeltaAggregatedResources(silent{account: account, reading: &reading, end: ends[account]})
			}()
			synctest.Wait()
		}
		for range maxHandshakes + 2 {
			open("x")
		}
		if n := reading.Load(); n != maxHandshakes {
			t.Errorf("%d messages are read at once, want %d", n, maxHandshakes)
		}
		open("y")
		if n := reading.Load(); n != maxHandshakes+1 {
			t.Error("another identity has to wait")
		}
		ends["x"] <- struct{}{}
		if err := <-ended; err != nil {
			t.Errorf("a stream without a message ends with %v", err)
		}
		synctest.Wait()
		if n := reading.Load(); n != maxHandshakes+2 {
			t.Errorf("%d messages were read after one of the streams has ended, want %d", n, maxHandshakes+2)
		}
		for range maxHandshakes + 2 {
			if err := <-ended; status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a stream without a message ends with %v", err)
			}
		}
		if len(s.server.handshakes.byIdentity) != 0 {
			t.Error("slots are in use without a stream")
		}
		close(ends["x"])
		close(ends["y"])
	})
}
