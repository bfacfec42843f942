package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"
)

// fleet is the proxies of one run.
type fleet struct {
	proxies []*proxy
	opened  time.Time
	streams *errgroup.Group
	quiet   time.Duration // without a message for so long, nothing more is coming
}

// openFleet connects a proxy for every node id, all at once, and waits until each has its whole configuration.
func openFleet(ctx context.Context, address string, creds credentials.TransportCredentials, nodes []string, quiet time.Duration) (*fleet, error) {
	f := &fleet{opened: time.Now(), quiet: quiet}
	f.streams, ctx = errgroup.WithContext(ctx)
	for _, node := range nodes {
		p, err := connect(ctx, address, creds, node)
		if err != nil {
			return nil, err
		}
		f.proxies = append(f.proxies, p)
		f.streams.Go(p.run)
	}
	return f, f.awaitReady(ctx)
}

func (f *fleet) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := 0
		for _, p := range f.proxies {
			if p.ready.Load() == 0 {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d of %d proxies: %w", missing, len(f.proxies), context.Cause(ctx))
		}
	}
}

// figures are the costs of a step.
type figures struct {
	proxies  int // that received a message
	messages int64
	bytes    int64
	last     time.Duration // until the last of them acknowledged
	cpu      time.Duration // of this process: of the server only where it is in it
}

// measure runs a step and counts the messages and bytes that proxies receive, until none receives any for the quiet time.
func (f *fleet) measure(ctx context.Context, do func() error) (figures, error) {
	before, cpu, start := f.counts(), cpuTime(), time.Now()
	if err := do(); err != nil {
		return figures{}, err
	}
	f.settle(ctx)
	out := figures{cpu: cpuTime() - cpu}
	for i, c := range f.counts() {
		if c.messages > before[i].messages {
			out.proxies++
		}
		out.messages += c.messages - before[i].messages
		out.bytes += c.bytes - before[i].bytes
		out.last = max(out.last, time.Unix(0, c.last).Sub(start))
	}
	return out, ctx.Err()
}

// start are the figures of the first configuration.
func (f *fleet) start(ctx context.Context) figures {
	f.settle(ctx)
	out := figures{proxies: len(f.proxies), cpu: cpuTime()}
	for i, c := range f.counts() {
		out.messages += c.messages
		out.bytes += c.bytes
		out.last = max(out.last, time.Unix(0, f.proxies[i].ready.Load()).Sub(f.opened))
	}
	return out
}

type counts struct{ messages, bytes, last int64 }

func (f *fleet) counts() []counts {
	out := make([]counts, len(f.proxies))
	for i, p := range f.proxies {
		out[i] = counts{p.received.messages.Load(), p.received.bytes.Load(), p.received.last.Load()}
	}
	return out
}

// settle waits until no proxy has received a message for the quiet time.
func (f *fleet) settle(ctx context.Context) {
	for since := time.Now(); time.Since(since) < f.quiet && ctx.Err() == nil; {
		pause := time.NewTimer(f.quiet / 10)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		for _, c := range f.counts() {
			if last := time.Unix(0, c.last); last.After(since) {
				since = last
			}
		}
	}
}
