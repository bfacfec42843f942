package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ask(t *testing.T, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("X-Test", "yes")
	w := httptest.NewRecorder()
	newHandler("v2", slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	cases := map[string]struct {
		method, path string
		status       int
		has          string
	}{
		"Status":         {"GET", "/status/503", 503, ""},
		"StatusOfHead":   {"HEAD", "/status/200", 200, ""},
		"StatusOfPost":   {"POST", "/status/201", 201, ""},
		"NoStatus":       {"GET", "/status/99", 400, "200 to 599"},
		"StatusIsNumber": {"GET", "/status/x", 400, "200 to 599"},
		"Headers":        {"GET", "/headers", 200, `"X-Test":"yes"`},
		"IP":             {"GET", "/ip", 200, `"origin":"192.0.2.1"`},
		"Get":            {"GET", "/get?a=1", 200, `"a":"1"`},
		"GetIsNoPost":    {"POST", "/get", 405, ""},
		"NoDelay":        {"GET", "/delay/0", 200, `"version":"v2"`},
		"DelayIsNumber":  {"GET", "/delay/x", 400, "seconds"},
		"DelayIsFinite":  {"GET", "/delay/NaN", 400, "seconds"},
		"Anything":       {"PUT", "/anything/a/b", 200, `"url":"http://example.com/anything/a/b"`},
		"Health":         {"GET", "/health", 200, "healthy"},
		"Unknown":        {"GET", "/no-such-path", 404, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := ask(t, c.method, c.path, "")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("status %d, body %s", w.Code, w.Body)
			}
		})
	}
}

func TestPostShowsWhatWasSent(t *testing.T) {
	var got seen
	if err := json.Unmarshal(ask(t, "POST", "/post?b=2", "hello").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := seen{
		Args: map[string]string{"b": "2"}, Data: "hello", Method: "POST", Origin: "192.0.2.1", Version: "v2",
		Headers: map[string]string{"Host": "example.com", "X-Test": "yes"}, URL: "http://example.com/post?b=2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if code := ask(t, "POST", "/post", strings.Repeat("x", maxBody+1)).Code; code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body gets %d", code)
	}
}

func TestDelayWaits(t *testing.T) {
	started := time.Now()
	ask(t, "GET", "/delay/0.05", "")
	if took := time.Since(started); took < 50*time.Millisecond {
		t.Errorf("took %s", took)
	}
}
