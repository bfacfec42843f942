package agent

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// failureLog follows one thing that is tried again and again, by anybody: each failure counts, and the log hears when it
// begins to fail, fails for another reason, and works again.
type failureLog struct {
	log              *slog.Logger
	fails, recovered string // messages
	failures         prometheus.Counter
	lines            *rate.Limiter // of something that keeps changing

	mu         sync.Mutex
	lastReason string // why it fails, as the log has heard; "": it works
}

func newFailureLog(log *slog.Logger, fails, recovered string, failures prometheus.Counter) *failureLog {
	return &failureLog{log: log, fails: fails, recovered: recovered, failures: failures, lines: rate.NewLimiter(rate.Every(time.Minute), 10)}
}

// record takes one more outcome; nil is success. A change that the log may not hear of yet is told with a later outcome.
func (l *failureLog) record(err error) {
	why := ""
	if err != nil {
		why = reason(err)
		l.failures.Inc()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if why == l.lastReason || !l.lines.Allow() {
		return
	}
	l.lastReason = why
	if err == nil {
		l.log.Info(l.recovered)
		return
	}
	l.log.Info(l.fails, "reason", why, "error", err)
}
