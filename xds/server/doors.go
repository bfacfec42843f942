package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// firstAtOnce is how many streams of one identity may say at the same time which pod they are of. Until that is known no
// pod's share counts, and each may hold a message of 4 MiB that never ends; one that waits holds 64 KiB.
const firstAtOnce = 16

// doors let streams in, a few of each identity at a time.
type doors struct {
	mu    sync.Mutex
	doors map[string]*door
}

type door struct {
	places chan struct{}
	users  int // guarded by the lock of doors
}

// enter waits for a place, which the caller has to leave.
func (d *doors) enter(ctx context.Context, identity string) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, firstRequestWithin)
	defer cancel()
	at := d.use(identity)
	select {
	case at.places <- struct{}{}:
		return sync.OnceFunc(func() {
			<-at.places
			d.forget(identity)
		}), nil
	case <-ctx.Done():
		d.forget(identity)
		return nil, status.Errorf(codes.ResourceExhausted, "%d streams of this identity have not said which pod they are of", firstAtOnce)
	}
}

func (d *doors) use(identity string) *door {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.doors[identity]
	if at == nil {
		at = &door{places: make(chan struct{}, firstAtOnce)}
		d.doors[identity] = at
	}
	at.users++
	return at
}

func (d *doors) forget(identity string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.doors[identity].users--; d.doors[identity].users == 0 {
		delete(d.doors, identity)
	}
}
