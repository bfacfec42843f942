package ca

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// Options are everything citadel needs to know.
type Options struct {
	Client       kubernetes.Interface // for root and bundle
	ReviewClient kubernetes.Interface // for questions about callers: many of them must not delay root and bundle
	Namespace    string               // the mesh's
	TrustDomain  string
	ServerName   string // DNS name that clients verify
	GRPCAddress  string
	WorkloadTTL  time.Duration // the longest lifetime of a certificate, and that of a request that names none
	RootTTL      time.Duration
	Monitoring   monitoring.Flags
	Logger       *slog.Logger
}

// Run is istio-citadel until ctx ends.
func Run(ctx context.Context, o Options) error {
	c, err := newCitadel(o)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.GRPCAddress)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return c.run(ctx, connlimit.New(listener, connectionsPerAddress, connections))
}

// Limits of connections without a call yet. A caller needs one, for a short time.
const (
	connectionsPerAddress = 256
	connections           = 8192
)

// citadel is the parts, wired.
type citadel struct {
	o          Options
	rootStore  *rootStore
	publisher  *publisher
	watches    watches
	service    *service
	serving    *serving
	monitoring *monitoring.Server
	wake       chan struct{} // the root Secret changed
}

func newCitadel(o Options) (*citadel, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	own, err := servingNames(o.TrustDomain, o.Namespace, o.ServerName)
	if err != nil {
		return nil, err
	}
	c := &citadel{o: o, watches: newWatches(o.Client, o.Namespace), monitoring: monitoring.New("citadel", o.Monitoring, o.Logger)}
	c.wake = make(chan struct{}, 1)
	metrics := newMetrics(c.monitoring.Registry)
	c.rootStore = &rootStore{
		client: o.Client, namespace: o.Namespace, trustDomain: o.TrustDomain, ttl: o.RootTTL, now: time.Now, log: o.Logger,
		problem: errStarting,
		changed: func(a *authority) {
			metrics.rootExpiry.Set(float64(a.cert.NotAfter.Unix()))
			c.publisher.enqueueAll()
		},
	}
	c.publisher = &publisher{
		client: o.Client, meshNamespace: o.Namespace, authority: c.rootStore.authority, queue: newQueue(), log: o.Logger,
		namespaces: c.watches.namespaces.Core().V1().Namespaces().Lister(),
		configMaps: c.watches.bundles.Core().V1().ConfigMaps().Lister(),
	}
	issuer := issuer{ttl: o.WorkloadTTL, now: time.Now}
	c.serving = &serving{authority: c.rootStore.authority, issuer: issuer, names: own, now: time.Now}
	authorizer := newAuthorizer(o.Namespace, time.Now)
	c.service = &service{
		authenticator: authenticator{client: o.ReviewClient, trustDomain: o.TrustDomain, now: time.Now, checkRate: authorizer.checkIdentityRate},
		authorizer:    authorizer,
		slots:         semaphore.NewWeighted(slots),
		issuer:        issuer,
		authority:     c.rootStore.authority,
		metrics:       metrics,
		logLimit:      newLogLimiter(),
		log:           o.Logger,
	}
	return c, nil
}

func (o Options) check() error {
	switch {
	case o.WorkloadTTL < time.Minute:
		return fmt.Errorf("workload certificate lifetime %s: must be a minute or more", o.WorkloadTTL)
	case o.RootTTL < o.WorkloadTTL:
		return fmt.Errorf("root lifetime %s: must not be below the workload certificate lifetime %s", o.RootTTL, o.WorkloadTTL)
	case o.ServerName == "":
		return errors.New("server name: must not be empty")
	}
	return nil
}

func (c *citadel) run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	if err := c.watches.addHandlers(c.rootChanged, c.publisher); err != nil {
		return err
	}
	c.monitoring.SetReady(func() error {
		_, err := c.rootStore.authority()
		return err
	})
	group.Go(func() error { return c.monitoring.Run(ctx) })
	group.Go(func() error { return c.serve(ctx, listener) })
	group.Go(func() error {
		defer c.watches.stop()
		if err := c.watches.start(ctx); err != nil {
			return ignoreCanceled(ctx, err)
		}
		inner, ctx := errgroup.WithContext(ctx)
		inner.Go(func() error { return c.rootStore.Run(ctx, c.wake) })
		inner.Go(func() error { return c.publisher.Run(ctx) })
		return inner.Wait()
	})
	return group.Wait()
}

func (c *citadel) rootChanged() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // what a process that ends was doing has failed
	}
	return err
}

// serve answers calls until ctx ends; handshakes fail until there is a root.
func (c *citadel) serve(ctx context.Context, listener net.Listener) error {
	server := c.server()
	stop := context.AfterFunc(ctx, server.GracefulStop)
	defer stop()
	c.o.Logger.Info("serving", "address", listener.Addr().String(), "name", c.o.ServerName)
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// server has all that untrusted clients can call.
func (c *citadel) server() *grpc.Server {
	server := grpc.NewServer(serverOptions(c.serving)...)
	securityv1alpha1.RegisterIstioCertificateServiceServer(server, c.service)
	return server
}

// serverOptions are the limits of a server that untrusted clients can reach: requests are small, calls are rare, and no connection
// stays, whether it asks nothing, begins a call that it does not finish, or goes on asking.
func serverOptions(s *serving) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(s.tlsConfig())),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.MaxRecvMsgSize(256 << 10),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.MaxConcurrentStreams(100),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 15 * time.Second, MaxConnectionAge: time.Minute, MaxConnectionAgeGrace: callTimeout,
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
		grpc.UnaryInterceptor(recoverPanic),
	}
}

// recoverPanic keeps one strange request from taking the CA away from everybody else.
func recoverPanic(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if r := recover(); r != nil {
			slog.ErrorContext(ctx, "panic while answering", "panic", r)
			answer, err = nil, status.Error(codes.Internal, "internal error")
		}
	}()
	return handler(ctx, request)
}
