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

// FaultFunc decides what happens to the n-th write, counted from 1. Events are not counted: they come when they come.
type FaultFunc func(n int, request string) Fault

// Transport carries an operator's requests and injects faults.
type Transport struct {
	// Killed is closed by the fault Dead; from then on nothing gets through.
	Killed chan struct{}

	mu       sync.Mutex
	fault    FaultFunc
	readGate *readGate
	dead     bool
	writes   []string
	reads    []string
}

// NewWire returns a wire that breaks writes as judge says; nil: never.
func NewWire(fault FaultFunc) *Transport {
	return &Transport{fault: fault, Killed: make(chan struct{})}
}

// FaultFunc has judge decide from now on, and counts from 1 again.
func (w *Transport) FaultFunc(fault FaultFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.writes, w.reads = fault, nil, nil
}

// readGate holds reads of a path.
type readGate struct {
	path          string
	waits, opened chan struct{}
	once          sync.Once
}

// HoldReads makes reads of path wait until release is called; waits is closed as soon as one does.
func (w *Transport) HoldReads(path string) (waits <-chan struct{}, release func()) {
	g := &readGate{path: path, waits: make(chan struct{}), opened: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readGate = g
	return g.waits, sync.OnceFunc(func() { close(g.opened) })
}

// wait waits where a read is held.
func (w *Transport) wait(request *http.Request) {
	w.mu.Lock()
	g := w.readGate
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
func (w *Transport) Writes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

// Reads returns all reads so far, watches left out.
func (w *Transport) Reads() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reads)
}

// Wrap puts the wire in front of next.
func (w *Transport) Wrap(next http.RoundTripper) http.RoundTripper { return &faultyTransport{w, next} }

type faultyTransport struct {
	transport *Transport
	next      http.RoundTripper
}

var errDead = errors.New("the operator is dead")

// RoundTrip sends one request, or does not.
func (t *faultyTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	fault := t.transport.nextFault(request)
	t.transport.wait(request)
	switch fault {
	case None:
		return t.next.RoundTrip(request)
	case Internal:
		return errorResponse(request, http.StatusInternalServerError, "InternalError"), nil
	case Busy:
		return errorResponse(request, http.StatusTooManyRequests, "TooManyRequests"), nil
	case Conflict:
		return errorResponse(request, http.StatusConflict, "Conflict"), nil
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
		t.transport.applyKill(fault)
		return nil, timeoutError{}
	}
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}

// timeoutError is what an answer that never comes looks like.
type timeoutError struct{}

func (timeoutError) Error() string   { return "net/http: timeout awaiting response headers" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// nextFault counts a request and returns its fault.
func (w *Transport) nextFault(request *http.Request) Fault {
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
	if w.fault == nil {
		return None
	}
	fault := w.fault(len(w.writes), text)
	if fault == Dead {
		w.kill()
	}
	return fault
}

func (w *Transport) applyKill(fault Fault) {
	if fault != DeadDone {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kill()
}

func (w *Transport) kill() {
	if !w.dead {
		w.dead = true
		close(w.Killed)
	}
}

// errorResponse is what the API server says when it fails.
func errorResponse(request *http.Request, code int, reason string) *http.Response {
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
