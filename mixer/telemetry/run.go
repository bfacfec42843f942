// Package telemetry is the role istio-telemetry: it takes the access log of every proxy (what the historic Mixer called Report) and
// keeps the last entries of each workload in memory, for meshctl logs and for whoever wants to know which upstreams a workload really
// uses.
//
// Proxies send their entries over OpenTelemetry's protocol with their own certificate, which is the only thing that says whose an
// entry is (receive.go). store.go bounds the memory, upstreams.go learns destinations, api.go answers on loopback: who may
// forward a port to the pod may read the log. Nothing is written to a disk, and no request waits for this process.
package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// Limits of what is kept in memory.
type Limits struct {
	PerWorkload int // entries of a workload
	Bytes       int // of all entries
}

// Logs is what proxies have logged.
type Logs struct {
	store     *store
	upstreams *upstreams
	receiver  *receiver
}

// Limits of what the destinations of workloads take.
const (
	upstreamWorkloads    = 5_000
	upstreamsPerWorkload = 100
)

// New returns empty logs. It starts nothing.
func New(limits Limits, registry prometheus.Registerer) *Logs {
	m := newMetrics(registry)
	l := &Logs{store: newStore(rand.Text(), limits, m.onEvict), upstreams: newUpstreams(upstreamWorkloads, upstreamsPerWorkload)}
	l.receiver = newReceiver(m, func(w workload, entries []*accesslog.Entry) {
		l.store.add(w, entries)
		l.upstreams.add(w, entries)
	})
	registerSize(registry, l.store)
	return l
}

// Server returns the gRPC server that proxies send entries to. config has to require and verify certificates of clients.
func (l *Logs) Server(config *tls.Config) *grpc.Server { return l.receiver.server(config) }

// Entries answers an accesslog.Query, given as the query of the URL, with an accesslog.Answer.
func (l *Logs) Entries() http.Handler { return serveLogs(l.store) }

// Upstreams answers ?namespace=&workload= with a list of accesslog.Upstream.
func (l *Logs) Upstreams() http.Handler { return serveUpstreams(l.upstreams) }

// Options are what the role needs to run. It has no API client.
type Options struct {
	Address    string // where proxies send entries, host:port
	Limits     Limits
	Monitoring monitoring.Flags
	Identity   certclient.Options // of the serving certificate
	Logger     *slog.Logger
}

// Limits of connections that have not presented a certificate yet. A proxy has one per worker thread, and the proxies of a node may
// share its address.
const (
	connectionsPerAddress = 1024
	connections           = 50_000
)

// Run takes entries until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Limits.PerWorkload < 1 || o.Limits.Bytes < 1 {
		return errors.New("nothing can be kept: set --log-entries and --log-memory to 1 or more")
	}
	o.Identity.Logger = o.Logger
	identity := certclient.New(o.Identity)
	monitor := monitoring.New("istio-telemetry", o.Monitoring, o.Logger)
	monitor.SetReady(identity.CheckReady)
	logs := New(o.Limits, monitor.Registry)
	monitor.HandleDebug("logs", logs.Entries())
	monitor.HandleDebug("upstreams", logs.Upstreams())
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return fmt.Errorf("listen on --grpc-address: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return identity.Run(ctx) })
	group.Go(func() error { return monitor.Run(ctx) })
	group.Go(func() error {
		return serve(ctx, logs.Server(identity.MutualServerTLS("h2")), connlimit.New(plain, connectionsPerAddress, connections))
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func serve(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	stop := context.AfterFunc(ctx, server.Stop) // a proxy drops its entries, or goes to another replica
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve proxies on %s: %w", listener.Addr(), err)
	}
	return nil
}
