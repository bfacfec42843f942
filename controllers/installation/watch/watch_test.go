package watch

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleMeshIsReconciled: the expiry of a root of trust has no event.
func TestIdleMeshIsReconciled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := New(nil, nil, slog.New(slog.DiscardHandler))
		began := time.Now()
		go w.resync(ctx)
		for range 2 {
			<-w.Events
		}
		if passed := time.Since(began); passed > 24*time.Hour {
			t.Errorf("two reconciles took %s", passed)
		}
	})
}
