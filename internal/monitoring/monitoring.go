// Package monitoring serves a role's /ready, /live, /version and /metrics to every client, and /debug/* on the pod's loopback
// (kubectl port-forward). They are separate listeners: debug endpoints of a shared one leak when the check of the client's
// address is wrong.
package monitoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/httpserver"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Flags are the listen addresses; an empty one is not listened on.
type Flags struct {
	Address string
	Debug   []string
	// CheckAPI fails /ready while the API server refuses the role's credentials; nil: the role has no client.
	CheckAPI func() error
}

// Bind adds the flags.
func (f *Flags) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&f.Address, "monitoring-address", "0.0.0.0:15014", "address of /ready, /version and /metrics; empty: none")
	fs.StringSliceVar(&f.Debug, "debug-address", nil, "loopback address that serves /debug/* as well, or several; none: none")
}

// Server is one role's monitoring endpoints. The zero value is not usable; see New.
type Server struct {
	Registry *prometheus.Registry

	role  string
	flags Flags
	log   *slog.Logger
	debug *http.ServeMux
	ready atomic.Pointer[func() error]
}

// New returns a server that is not ready until SetReady is called. It starts nothing.
func New(role string, flags Flags, log *slog.Logger) *Server {
	s := &Server{Registry: prometheus.NewRegistry(), role: role, flags: flags, log: log, debug: http.NewServeMux()}
	s.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "istio_build", Help: "1, with the role and its version.",
			ConstLabels: prometheus.Labels{"component": strings.TrimPrefix(role, "istio-"), "tag": version.Version},
		}, func() float64 { return 1 }))
	return s
}

// SetReady installs the readiness check; its error is the body of a 503.
func (s *Server) SetReady(check func() error) { s.ready.Store(&check) }

// HandleDebug registers a handler below /debug/ on the loopback listener only.
func (s *Server) HandleDebug(pattern string, h http.Handler) { s.debug.Handle("/debug/"+pattern, h) }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	if err := s.checkDebugAddress(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if s.flags.Address != "" {
		group.Go(func() error { return httpserver.Serve(ctx, s.flags.Address, s.open()) })
	}
	for _, address := range s.flags.Debug {
		mux := s.open()
		mux.Handle("/debug/", s.debug)
		group.Go(func() error { return httpserver.Serve(ctx, address, mux) })
	}
	return group.Wait()
}

func (s *Server) checkDebugAddress() error {
	for _, address := range s.flags.Debug {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("parse --debug-address: %w", err)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("parse --debug-address: %s is not a loopback address", address)
		}
	}
	return nil
}

func (s *Server) open() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", s.serveReady)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version.Line(s.role)) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
	return mux
}

// checkReady asks about the API server first: the role's own check waits for it, and does not say why.
func (s *Server) checkReady() error {
	if s.flags.CheckAPI != nil {
		if err := s.flags.CheckAPI(); err != nil {
			return err
		}
	}
	check := s.ready.Load()
	if check == nil {
		return errors.New("starting")
	}
	return (*check)()
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.checkReady(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
