package installation

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestAMeshAtRestIsLookedAt, because no event tells that a root of trust is about to expire.
func TestAMeshAtRestIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := NewWatch(nil, nil, slog.New(slog.DiscardHandler))
		began := time.Now()
		go w.remind(ctx)
		for range 2 {
			<-w.events
		}
		if passed := time.Since(began); passed > expirySoon/10 {
			t.Errorf("two looks took %s", passed)
		}
	})
}
