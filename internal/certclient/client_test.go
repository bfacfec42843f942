package certclient

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// The wait after an answer that the CA is busy is longer than after none: a try costs an absent CA nothing.
func TestBackOff(t *testing.T) {
	busy := fmt.Errorf("create certificate: %w", status.Error(codes.ResourceExhausted, "certificate refused: busy"))
	away := fmt.Errorf("create certificate: %w", status.Error(codes.Unavailable, "connection refused"))
	for _, c := range []struct {
		last time.Duration
		err  error
		want time.Duration
	}{
		{0, away, firstBackOff},
		{0, busy, firstBackOff},
		{20 * time.Second, away, longestBackOff},
		{20 * time.Second, busy, 40 * time.Second},
		{40 * time.Second, busy, busyBackOff},
		{busyBackOff, busy, busyBackOff},
		{busyBackOff, away, longestBackOff},
		{busyBackOff, errors.New("read token: no such file"), longestBackOff},
	} {
		if got := backOff(c.last, c.err); got != c.want {
			t.Errorf("after %s and %q: %s, want %s", c.last, c.err, got, c.want)
		}
	}
}

// A node's clock may be hours off until it is synchronized: a step of it must not move the next try.
func TestRetryUsesMonotonicClock(t *testing.T) {
	c := New(Options{TokenFile: filepath.Join(t.TempDir(), "istio-token"), Logger: slog.New(slog.DiscardHandler)})
	var s schedule
	c.renew(t.Context(), trust.Bundle{}, &s)
	if !strings.Contains(s.renew.String(), " m=") { // a reading of the monotonic clock
		t.Errorf("the next try is by the wall clock, at %s", s.renew)
	}
}
