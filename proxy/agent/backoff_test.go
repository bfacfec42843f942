package agent

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// envoySide is a stream of an Envoy that waits for responses.
type envoySide struct {
	grpc.ServerStream
	ctx context.Context
}

func (e *envoySide) Context() context.Context { return e.ctx }
func (e *envoySide) RecvMsg(any) error        { <-e.ctx.Done(); return e.ctx.Err() }
func (e *envoySide) SendMsg(any) error        { return nil }

// pilotSide sends some messages and keeps the stream open for a time.
type pilotSide struct {
	grpc.ClientStream
	ctx      context.Context
	messages int
	lasts    time.Duration
}

func (p *pilotSide) RecvMsg(any) error {
	if p.messages > 0 {
		p.messages--
		return nil
	}
	sleep(p.ctx, p.lasts)
	return io.EOF
}

// reach runs a proxy in a synctest bubble: an Envoy that reconnects a quarter of a second after each stream, and a pilot whose
// behaviour is a function of time.
type reach struct {
	proxy *xdsProxy
	log   bytes.Buffer
	began time.Time
	at    []time.Duration // of each attempt
}

// newReach has a pilot that sends that many messages on a stream and ends it after lasts; a negative number: it is away.
func newReach(pilot func(at time.Duration) (messages int, lasts time.Duration)) *reach {
	r := &reach{began: time.Now()}
	r.proxy = newXDSProxy(Config{PilotAddress: "pilot:15011"}, nil, newCounters(), slog.New(slog.NewTextHandler(&r.log, nil)))
	r.proxy.open = func(ctx context.Context) (*pilotStream, error) {
		at := time.Since(r.began)
		r.at = append(r.at, at)
		messages, lasts := pilot(at)
		if messages < 0 {
			return nil, status.Error(codes.Unavailable, "no such host")
		}
		return &pilotStream{&pilotSide{ctx: ctx, messages: messages, lasts: lasts}, func() {}}, nil
	}
	return r
}

// until lets Envoy try until the time has come, and leaves nothing running.
func (r *reach) until(end time.Duration) {
	for time.Since(r.began) < end {
		ctx, leave := context.WithTimeout(context.Background(), end-time.Since(r.began))
		_ = r.proxy.handle(&envoySide{ctx: ctx})
		leave()
		time.Sleep(250 * time.Millisecond)
	}
	synctest.Wait()
}

func (r *reach) lines() int { return strings.Count(r.log.String(), "\n") }

// TestReconnectBacksOff: while pilot is away for ten minutes a proxy connects about forty times, and logs the failure and its end
// once. Its first attempts follow each other soon.
func TestReconnectBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const away, back = time.Minute, 11 * time.Minute
		r := newReach(func(at time.Duration) (int, time.Duration) {
			if at < away {
				return 1, away - at
			}
			if at < back {
				return -1, 0
			}
			return 0, time.Hour // it has nothing new
		})
		r.until(back + time.Minute)
		if n := len(r.at); n < 20 || n > 50 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		for i := 1; i < len(r.at); i++ {
			if gap := r.at[i] - r.at[i-1]; i > 1 && gap > attemptGrowth.Longest+250*time.Millisecond {
				t.Errorf("%s between two attempts", gap)
			}
		}
		if early := r.at[4] - away; early > 10*time.Second {
			t.Errorf("the fourth attempt comes after %s", early)
		}
		// Connected; the stream has ended, it is away, it is back.
		if got := r.log.String(); r.lines() != 4 || strings.Count(got, "connected to pilot") != 2 || strings.Count(got, "no such host") != 2 {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// TestReconnectAfterPilotRestart: the time until a reconnect is about that of the restart, whatever the jitter.
func TestReconnectAfterPilotRestart(t *testing.T) {
	for gone := 2 * time.Second; gone <= 10*time.Second; gone += time.Second {
		synctest.Test(t, func(t *testing.T) {
			const away = time.Minute
			r := newReach(func(at time.Duration) (int, time.Duration) {
				switch {
				case at < away:
					return 1, away - at
				case at < away+gone:
					return -1, 0
				default:
					return 1, time.Hour
				}
			})
			r.until(away + time.Minute)
			if late := r.at[len(r.at)-1] - away - gone; late < 0 || late > gone+1500*time.Millisecond {
				t.Errorf("gone for %s, found %s later", gone, late)
			}
		})
	}
}

// TestNoBackoffBeforeFirstConfiguration: a pod that starts while pilot does must not wait for it longer than pilot takes.
func TestNoBackoffBeforeFirstConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(func(time.Duration) (int, time.Duration) { return -1, 0 })
		r.until(time.Minute)
		if len(r.at) != 240 || r.lines() != 1 {
			t.Errorf("%d attempts, %d lines", len(r.at), r.lines())
		}
	})
}

// TestBackoffForStreamsThatEndAtOnce: a pilot that answers and hangs up is no better than one that is away.
func TestBackoffForStreamsThatEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(func(time.Duration) (int, time.Duration) { return 1, 0 })
		r.until(10 * time.Minute)
		if n := len(r.at); n > 50 || r.lines() > 22 {
			t.Errorf("%d attempts, %d lines", n, r.lines())
		}
	})
}

// TestBackoffEndsWithEnvoyStream: the pause is no reason to stay.
func TestBackoffEndsWithEnvoyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(func(time.Duration) (int, time.Duration) { return 1, 0 })
		for range 10 {
			r.proxy.backoff.markConfigured()
			r.proxy.backoff.schedule()
		}
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		time.AfterFunc(time.Second, leave)
		if err := r.proxy.handle(&envoySide{ctx: ctx}); err != nil || time.Since(r.began) != time.Second || len(r.at) != 0 {
			t.Errorf("%v after %s and %d attempts", err, time.Since(r.began), len(r.at))
		}
	})
}
