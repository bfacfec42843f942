package installation

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleMeshIsReconciled, because no event tells that a root of trust is about to expire.
func TestIdleMeshIsReconciled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := NewWatch(nil, nil, slog.New(slog.DiscardHandler))
		began := time.Now()
		go w.resync(ctx)
		for range 2 {
			<-w.events
		}
		if passed := time.Since(began); passed > expiryWarning/10 {
			t.Errorf("two looks took %s", passed)
		}
	})
}
