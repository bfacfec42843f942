package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Fault is what happens to one request.
type Fault string

// The faults.
const (
	None     Fault = ""
	Internal Fault = "internal error" // 500, nothing was done
	Busy     Fault = "too many requests"
	Conflict Fault = "conflict"
	Reset    Fault = "connection reset" // nothing was done
	Lost     Fault = "answer lost"      // it was carried out, and nobody will know
	Dead     Fault = "dead before"      // the operator is killed before it has sent the request
	DeadDone Fault = "dead after"       // and after
)

// Judge decides what happens to the n-th write, counted from 1. Events are not counted: they come when they come.
type Judge func(n int, request string) Fault

// Wire carries an operator's requests and breaks as told.
type Wire struct {
	// Killed is closed by the fault Dead; from then on nothing gets through.
	Killed chan struct{}

	mu     sync.Mutex
	judge  Judge
	gate   *gate
	dead   bool
	writes []string
	reads  []string
}

// NewWire returns a wire that breaks writes as judge says; nil: never.
func NewWire(judge Judge) *Wire { return &Wire{judge: judge, Killed: make(chan struct{})} }

// Judge has judge decide from now on, and counts from 1 again.
func (w *Wire) Judge(judge Judge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judge, w.writes, w.reads = judge, nil, nil
}

// gate holds reads of a path.
type gate struct {
	path          string
	waits, opened chan struct{}
	once          sync.Once
}

// Hold makes reads of path wait until release is called; waits is closed as soon as one does.
func (w *Wire) Hold(path string) (waits <-chan struct{}, release func()) {
	g := &gate{path: path, waits: make(chan struct{}), opened: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = g
	return g.waits, sync.OnceFunc(func() { close(g.opened) })
}

// wait waits where a read is held.
func (w *Wire) wait(request *http.Request) {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	if g == nil || request.Method != http.MethodGet || request.URL.Path != g.path {
		return
	}
	g.once.Do(func() { close(g.waits) })
	select {
	case <-g.opened:
	case <-request.Context().Done():
	}
}

// Writes returns all writes so far, Events left out.
func (w *Wire) Writes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

// Reads returns all reads so far, watches left out.
func (w *Wire) Reads() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reads)
}

// Through puts the wire in front of next.
func (w *Wire) Through(next http.RoundTripper) http.RoundTripper { return &wired{w, next} }

type wired struct {
	wire *Wire
	next http.RoundTripper
}

var errDead = errors.New("the operator is dead")

// RoundTrip sends one request, or does not.
func (t *wired) RoundTrip(request *http.Request) (*http.Response, error) {
	fault := t.wire.decide(request)
	t.wire.wait(request)
	switch fault {
	case None:
		return t.next.RoundTrip(request)
	case Internal:
		return answer(request, http.StatusInternalServerError, "InternalError"), nil
	case Busy:
		return answer(request, http.StatusTooManyRequests, "TooManyRequests"), nil
	case Conflict:
		return answer(request, http.StatusConflict, "Conflict"), nil
	case Reset:
		closeBody(request)
		return nil, &os.SyscallError{Syscall: "read", Err: syscall.ECONNRESET}
	case Dead:
		closeBody(request)
		return nil, errDead
	default: // Lost, DeadDone
		response, err := t.next.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		t.wire.afterwards(fault)
		return nil, timeout{}
	}
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}

// timeout is what an answer that never comes looks like.
type timeout struct{}

func (timeout) Error() string   { return "net/http: timeout awaiting response headers" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// decide counts a request and returns its fault.
func (w *Wire) decide(request *http.Request) Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return Dead
	}
	text := request.Method + " " + request.URL.Path
	switch {
	case request.URL.Query().Get("watch") != "", strings.Contains(request.URL.Path+"/", "/events/"):
		return None
	case request.Method == http.MethodGet:
		w.reads = append(w.reads, text)
		return None
	}
	w.writes = append(w.writes, text)
	if w.judge == nil {
		return None
	}
	fault := w.judge(len(w.writes), text)
	if fault == Dead {
		w.die()
	}
	return fault
}

func (w *Wire) afterwards(fault Fault) {
	if fault != DeadDone {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.die()
}

func (w *Wire) die() {
	if !w.dead {
		w.dead = true
		close(w.Killed)
	}
}

// answer is what the API server says when it fails.
func answer(request *http.Request, code int, reason string) *http.Response {
	closeBody(request)
	header := http.Header{"Content-Type": {"application/json"}}
	if code == http.StatusTooManyRequests {
		header.Set("Retry-After", "1")
	}
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"made up by the test","code":%d}`, reason, code)
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(bytes.NewReader([]byte(text))), ContentLength: int64(len(text)), Request: request,
	}
}
