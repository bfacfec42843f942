package agent

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// failureLog records the results of an operation that is repeated. It counts each failure, and logs when the operation begins
// to fail, when the reason changes and when it succeeds again. The log is rate limited: untrusted clients can cause failures.
type failureLog struct {
	log              *slog.Logger
	fails, recovered string // messages
	failures         *counter
	limiter          *rate.Limiter

	mu         sync.Mutex
	lastReason string // last reason that was logged; "" for success
}

func newFailureLog(log *slog.Logger, fails, recovered string, failures *counter) *failureLog {
	return &failureLog{log: log, fails: fails, recovered: recovered, failures: failures, limiter: rate.NewLimiter(rate.Every(time.Minute), 10)}
}

// record takes the next result; nil is success. A change that the rate limit suppresses is logged with a later result.
func (l *failureLog) record(err error) {
	why := ""
	if err != nil {
		why = reason(err)
		l.failures.inc()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if why == l.lastReason || !l.limiter.Allow() {
		return
	}
	l.lastReason = why
	if err == nil {
		l.log.Info(l.recovered)
		return
	}
	l.log.Info(l.fails, "reason", why, "error", err)
}
