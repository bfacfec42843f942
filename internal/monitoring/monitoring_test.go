package monitoring

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDebugIsForLoopbackOnly(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":0": false, "localhost:0": false, "192.0.2.1:0": false,
	} {
		s := New("test", Flags{Debug: []string{"127.0.0.1:0", address}}, slog.New(slog.DiscardHandler))
		if err := s.checkDebugAddress(); (err == nil) != ok {
			t.Errorf("--debug-address %q: %v, want ok %v", address, err, ok)
		}
	}
}

// TestOpenPortServesOnlyPublicPages is about CVE-2026-31838: debug pages are not served on the port that everybody reaches.
func TestOpenPortServesOnlyPublicPages(t *testing.T) {
	s := New("test", Flags{}, slog.New(slog.DiscardHandler))
	s.SetReady(func() error { return nil })
	s.HandleDebug("syncz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	for path, want := range map[string]int{
		"/ready": 200, "/live": 200, "/version": 200, "/metrics": 200, "/": 404, "/debug/syncz": 404, "/debug/pprof/": 404, "/debug/": 404,
		"/metrics/../debug/syncz": 307, "/metrics/..%2fdebug/syncz": 404, "/ready/": 404,
	} {
		w := httptest.NewRecorder()
		s.open().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s answers %d, want %d", path, w.Code, want)
		}
		w = httptest.NewRecorder()
		if s.open().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil)); w.Code == 200 {
			t.Errorf("POST %s answers 200", path)
		}
	}
}

// TestReadyNeedsAPI: a role that is ready otherwise is not while the API server refuses its credentials.
func TestReadyNeedsAPI(t *testing.T) {
	refused := errors.New("refused")
	s := New("test", Flags{CheckAPI: func() error { return refused }}, slog.New(slog.DiscardHandler))
	s.SetReady(func() error { return nil })
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		w := httptest.NewRecorder()
		s.open().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", nil))
		if w.Code != want {
			t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
		}
		refused = nil
	}
}
