package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// service is the common part of the roles: name, version and the addresses of the others.
type service struct {
	role    string
	version string
	pod     string
	peers   map[string]string // role -> URL
	client  *http.Client
	logger  *slog.Logger
}

// Limits of calls between the services.
const (
	callTimeout = 10 * time.Second
	maxAnswer   = 1 << 20
)

// newService returns the handler of a role.
func newService(role string, env func(string) string, logger *slog.Logger) (http.Handler, error) {
	s := &service{
		role: role, version: version(env), pod: podName(env), logger: logger,
		peers:  map[string]string{"details": peer("details", env), "reviews": peer("reviews", env), "ratings": peer("ratings", env)},
		client: &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": role + " is healthy"})
	})
	switch role {
	case "productpage":
		s.routePage(mux)
	case "details":
		mux.HandleFunc("GET /details/{id}", s.details)
	case "reviews":
		if _, ok := stars[s.version]; !ok {
			return nil, fmt.Errorf("serve reviews: no version %q: there are v1, v2, v3", s.version)
		}
		mux.HandleFunc("GET /reviews/{id}", s.reviews)
	case "ratings":
		ratings := newRatings()
		mux.HandleFunc("GET /ratings/{id}", ratings.get)
		mux.HandleFunc("POST /ratings/{id}", ratings.post)
	default:
		return nil, fmt.Errorf("no role %q: there are productpage, details, reviews, ratings", role)
	}
	return mux, nil
}

func podName(env func(string) string) string {
	host, _ := os.Hostname()
	return or(env("HOSTNAME"), host)
}

// peer returns the URL of another service: by default its name, which is its Service in the same namespace.
func peer(role string, env func(string) string) string {
	upper := map[string]string{"details": "DETAILS", "reviews": "REVIEWS", "ratings": "RATINGS"}[role]
	host := or(env(upper+"_HOSTNAME"), role)
	if domain := env("SERVICES_DOMAIN"); domain != "" {
		host += "." + domain
	}
	return "http://" + net.JoinHostPort(host, or(port(env(upper+"_SERVICE_PORT")), "9080"))
}

// port drops what the kubelet puts into variables of this name for Services of other kinds, as in tcp://10.0.0.1:9080.
func port(value string) string {
	for _, r := range value {
		if r < '0' || r > '9' {
			return ""
		}
	}
	return value
}

// call asks another service on behalf of a request and decodes its answer. The status is 0 when there was none.
func (s *service) call(ctx context.Context, from *http.Request, role, path string, into any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.peers[role]+path, nil)
	if err != nil {
		return 0, err
	}
	forward(from, req)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("call %s: %w", role, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("read the answer of %s: %w", role, err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("call %s: status %d", role, resp.StatusCode)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return resp.StatusCode, fmt.Errorf("decode the answer of %s: %w", role, err)
	}
	return resp.StatusCode, nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client has closed the connection
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"error": message})
}
