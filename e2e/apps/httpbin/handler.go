package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxDelay = 10 * time.Second
	maxBody  = 1 << 20
)

// seen is a request as it arrived.
type seen struct {
	Args    map[string]string `json:"args"`
	Data    string            `json:"data,omitempty"`
	Headers map[string]string `json:"headers"`
	Method  string            `json:"method"`
	Origin  string            `json:"origin"`
	URL     string            `json:"url"`
	Version string            `json:"version,omitempty"`
}

func newHandler(version string, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	everything := func(w http.ResponseWriter, r *http.Request) { echo(w, r, version) }
	mux.HandleFunc("/status/{code}", status)
	mux.HandleFunc("/delay/{seconds}", func(w http.ResponseWriter, r *http.Request) { delay(w, r, version) })
	mux.HandleFunc("GET /headers", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"headers": headers(r)})
	})
	mux.HandleFunc("GET /ip", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]any{"origin": origin(r)}) })
	mux.HandleFunc("GET /tls", showPeer)
	mux.HandleFunc("GET /get", everything)
	mux.HandleFunc("POST /post", everything)
	mux.HandleFunc("/anything", everything)
	mux.HandleFunc("/anything/", everything)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"status": "healthy"}) })
	return logged(mux, logger)
}

// logged writes a line per request, to find mirrored ones; probes are not logged.
func logged(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			logger.Info("request", "method", r.Method, "path", r.URL.Path, "host", r.Host)
		}
		next.ServeHTTP(w, r)
	})
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 {
		http.Error(w, "use a status from 200 to 599", http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
}

// delay waits no longer than maxDelay, and ends when the client has closed the connection.
func delay(w http.ResponseWriter, r *http.Request, version string) {
	seconds, err := strconv.ParseFloat(r.PathValue("seconds"), 64)
	if err != nil || !(seconds >= 0) {
		http.Error(w, "use a number of seconds", http.StatusBadRequest)
		return
	}
	wait := time.Duration(min(seconds, maxDelay.Seconds()) * float64(time.Second))
	select {
	case <-time.After(wait):
		echo(w, r, version)
	case <-r.Context().Done():
	}
}

func echo(w http.ResponseWriter, r *http.Request, version string) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	args := map[string]string{}
	for name, values := range r.URL.Query() {
		args[name] = strings.Join(values, ",")
	}
	reply(w, seen{
		Args: args, Data: string(data), Headers: headers(r), Method: r.Method, Origin: origin(r),
		URL: "http://" + r.Host + r.URL.RequestURI(), Version: version,
	})
}

func headers(r *http.Request) map[string]string {
	all := map[string]string{"Host": r.Host}
	for name, values := range r.Header {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// origin is the first caller that the proxies on the way name, or the one that connected.
func origin(r *http.Request) string {
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" {
		return forwarded
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // fails only when the client has closed the connection
}
