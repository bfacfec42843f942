package server

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxHandshakes is how many streams of one identity may say at the same time which pod they are of. Until that is known no
// pod's share counts, and each may hold a message of 4 MiB that never ends; one that waits holds 64 KiB.
const maxHandshakes = 16

// handshakeLimit lets streams in, a few of each identity at a time.
type handshakeLimit struct {
	mu         sync.Mutex
	byIdentity map[string]*handshakeSlots
}

type handshakeSlots struct {
	slots *semaphore.Weighted
	users int // guarded by the lock of handshakeLimit
}

// acquire waits for a slot, which the caller has to release.
func (l *handshakeLimit) acquire(ctx context.Context, identity string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, firstRequestTimeout)
	defer cancel()
	at := l.use(identity)
	if at.slots.Acquire(ctx, 1) != nil {
		l.release(identity)
		return nil, status.Errorf(codes.ResourceExhausted, "%d streams of this identity have not said which pod they are of", maxHandshakes)
	}
	return sync.OnceFunc(func() {
		at.slots.Release(1)
		l.release(identity)
	}), nil
}

func (l *handshakeLimit) use(identity string) *handshakeSlots {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.byIdentity[identity]
	if at == nil {
		at = &handshakeSlots{slots: semaphore.NewWeighted(maxHandshakes)}
		l.byIdentity[identity] = at
	}
	at.users++
	return at
}

func (l *handshakeLimit) release(identity string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byIdentity[identity].users--; l.byIdentity[identity].users == 0 {
		delete(l.byIdentity, identity)
	}
}
