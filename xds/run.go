// Package xds is pilot, the part of the control plane that configures proxies: it turns Kubernetes and Istio objects into
// Envoy resources and streams them. Its folders are its stages, each with one value that the next one takes:
//
//	source ──mesh.Inputs──▶ mesh ──*Snapshot──▶ scope ──Scope──▶ envoy ──*resource.Set──▶ server
//
// source is the only one that knows the API server, server the only one that knows streams; the three between them are
// pure. Beside them analyze looks for rules without effect, so that no push waits for it. This package puts them together and
// gives them their addresses and certificates.
package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/debounce"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
	"github.com/mesh-operator/mesh-operator/xds/analyze"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/server"
	"github.com/mesh-operator/mesh-operator/xds/source"
)

// Options are what pilot needs to run.
type Options struct {
	Kubernetes    kubernetes.Interface
	Dynamic       dynamic.Interface
	MeshNamespace string

	GRPCAddress     string // of proxies with certificates; empty: none
	InsecureAddress string // of proxies without, on loopback; empty: none

	Certificates certclient.Options // where the serving certificate comes from
	Monitoring   monitoring.Flags
	Logger       *slog.Logger
}

// Run serves proxies until ctx ends.
func Run(ctx context.Context, o Options) error {
	p, err := newPilot(ctx, o)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// pilot is the stages put together.
type pilot struct {
	o            Options
	server       *server.Server
	source       *source.Source
	certificates *certclient.Client // nil if no address needs one
	monitoring   *monitoring.Server
	listeners    []listener
	build        func(*mesh.Snapshot, mesh.Inputs) *mesh.Snapshot
	snapshot     atomic.Pointer[mesh.Snapshot]
	published    chan struct{} // there is a snapshot that was not analyzed
}

type listener struct {
	net.Listener
	grpc *grpc.Server
}

// newPilot opens the listeners before anything starts, so that an invalid address is reported at once.
func newPilot(ctx context.Context, o Options) (*pilot, error) {
	if o.GRPCAddress == "" && o.InsecureAddress == "" {
		return nil, errors.New("no address to serve proxies on: set --grpc-address or --insecure-grpc-addr")
	}
	p := &pilot{o: o, build: mesh.Build, published: make(chan struct{}, 1), monitoring: monitoring.New("istio-pilot", o.Monitoring, o.Logger)}
	p.server = server.New(o.Logger, p.monitoring.Registry)
	p.monitoring.Registry.MustRegister(&proxies{snapshot: p.snapshot.Load, synced: p.server.Synced})
	registerModel(p.monitoring.Registry, p.snapshot.Load)
	p.source = source.New(source.Options{
		Kubernetes: o.Kubernetes, Dynamic: o.Dynamic, MeshNamespace: o.MeshNamespace, Logger: o.Logger, Publish: p.publish,
		Event: newEvents(p.monitoring.Registry).count,
	})
	if err := p.listen(ctx); err != nil {
		for _, l := range p.listeners {
			_ = l.Close()
		}
		return nil, err
	}
	p.monitoring.SetReady(p.checkReady)
	p.monitoring.HandleDebug("syncz", http.HandlerFunc(p.server.ServeSync))
	p.monitoring.HandleDebug("registryz", server.ServeRegistry(p.snapshot.Load))
	p.monitoring.HandleDebug("config", http.HandlerFunc(p.server.ServeConfig))
	return p, nil
}

// Limits of connections that have not presented a certificate yet. A proxy has one connection, and two while it reconnects; the
// proxies of a node may share its address.
const (
	connectionsPerAddress = 1024
	connections           = 50_000
)

func (p *pilot) listen(ctx context.Context) error {
	if p.o.GRPCAddress != "" {
		p.certificates = certclient.New(p.o.Certificates)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.o.GRPCAddress)
		if err != nil {
			return fmt.Errorf("listen on --grpc-address: %w", err)
		}
		p.listeners = append(p.listeners, listener{connlimit.New(l, connectionsPerAddress, connections), p.server.Secure(p.certificates.MutualServerTLS("h2"))})
	}
	if p.o.InsecureAddress != "" {
		l, err := server.ListenLoopback(p.o.InsecureAddress)
		if err != nil {
			return err
		}
		p.listeners = append(p.listeners, listener{l, p.server.Insecure()})
	}
	return nil
}

func (p *pilot) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.monitoring.Run(ctx) })
	group.Go(func() error { return p.source.Run(ctx) })
	group.Go(func() error {
		debounce.Run(ctx, p.published, analysisPause, p.analyze)
		return nil
	})
	if p.certificates != nil {
		group.Go(func() error { return p.certificates.Run(ctx) })
	}
	for _, l := range p.listeners {
		stop := context.AfterFunc(ctx, l.grpc.Stop) // streams never end by themselves; proxies go to another replica
		defer stop()
		group.Go(func() error {
			p.o.Logger.Info("serving proxies", "address", l.Addr().String())
			if err := l.grpc.Serve(l); ctx.Err() == nil {
				return fmt.Errorf("serve proxies on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// publish is called by source, one call at a time. If mesh.Build panics, the previous snapshot stays; the next one is built from it,
// with everything that has changed since.
func (p *pilot) publish(in mesh.Inputs) {
	if problem := mesh.Guarded(mesh.Pilot, func() { p.replace(in) }); problem != nil {
		p.server.BuildFailed(*problem)
	}
}

func (p *pilot) replace(in mesh.Inputs) {
	previous := p.snapshot.Load()
	snapshot := p.build(previous, in)
	p.server.Publish(snapshot)
	p.snapshot.Store(snapshot)
	select {
	case p.published <- struct{}{}:
	default:
	}
	if previous == nil {
		p.o.Logger.Info("configuration complete", "services", snapshot.Services.Len(), "pods", in.Pods.Len(), "config", in.Config.Len())
	}
}

// analysisPause follows each analysis. It looks at the whole mesh, and nobody waits for it.
var analysisPause = debounce.Pause{Factor: 10, Shortest: 3 * time.Second, Longest: time.Minute}

// analyze reports the findings of the newest snapshot.
func (p *pilot) analyze() {
	start, snapshot := time.Now(), p.snapshot.Load()
	findings := analyze.Check(snapshot)
	p.server.ReportFindings(findings)
	p.o.Logger.Debug("configuration analyzed", "findings", len(findings), "took", time.Since(start))
}

func (p *pilot) checkReady() error {
	if err := p.source.CheckReady(); err != nil {
		return err
	}
	if p.snapshot.Load() == nil {
		return errors.New("waiting for the first configuration")
	}
	if p.certificates != nil {
		return p.certificates.CheckReady()
	}
	return nil
}
