// Package monitoring serves what operators of the mesh look at: /ready, /version and /metrics for everybody, /debug/* for
// whoever reaches the pod's loopback (kubectl port-forward). The two are separate listeners, because a check of the
// caller's address on a shared one is how debug endpoints have leaked before.
package monitoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Flags are the listen addresses; an empty one is not listened on.
type Flags struct {
	Address string
	Debug   string
}

// Bind adds the flags.
func (f *Flags) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&f.Address, "monitoring-address", "0.0.0.0:15014", "address of /ready, /version and /metrics; empty: none")
	fs.StringVar(&f.Debug, "debug-address", "", "loopback address that serves /debug/* as well; empty: none")
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
	s.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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
		group.Go(func() error { return Serve(ctx, s.flags.Address, s.open()) })
	}
	if s.flags.Debug != "" {
		mux := s.open()
		mux.Handle("/debug/", s.debug)
		group.Go(func() error { return Serve(ctx, s.flags.Debug, mux) })
	}
	return group.Wait()
}

func (s *Server) checkDebugAddress() error {
	if s.flags.Debug == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.flags.Debug)
	if err != nil {
		return fmt.Errorf("parse --debug-address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("parse --debug-address: %s is not a loopback address", s.flags.Debug)
	}
	return nil
}

func (s *Server) open() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", s.serveReady)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version.Line(s.role)) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
	return mux
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	check := s.ready.Load()
	err := errors.New("starting")
	if check != nil {
		err = (*check)()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Serve runs a plain HTTP/1.1 server with this product's limits on address until ctx ends.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return ServeListener(ctx, connlimit.New(listener, connectionsPerAddress, connections), handler)
}

// What connections may cost before they have said anything, on a port that strangers reach.
const (
	connectionsPerAddress = 256
	connections           = 2048
)

// idleTimeout is longer than the API server keeps a connection on which it asks nothing, 90 s: were this side the first to
// leave, it would do so under a question now and then, and nobody asks a webhook twice.
const idleTimeout = 3 * time.Minute

// grace is what a request under way has at the end of the process: well within a pod's usual 30 s.
const grace = 5 * time.Second

// ServeListener is Serve on a listener that is already open; it closes it. Requests under way when ctx ends have grace to be
// answered before ServeListener returns; what is left then is closed.
func ServeListener(ctx context.Context, listener net.Listener, handler http.Handler) error {
	unending := context.WithoutCancel(ctx)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      time.Minute, // of an answer, or somebody who never reads holds it
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return unending },
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		drain(unending, server)
	})
	err := server.Serve(listener)
	if !stop() {
		<-drained
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// drain ends the server as soon as the requests under way are answered, and after grace in any case.
func drain(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
