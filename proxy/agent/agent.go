package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/httpserver"
)

// Options are the parameters of Run.
type Options struct {
	Config       Config
	Certificates certclient.Options
	Output       io.Writer // for Envoy's output; nil: standard error
	Logger       *slog.Logger
}

// Run runs a proxy. It returns when ctx has ended and the proxy has drained, or with an error when Envoy exits or is killed too
// often.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Output == nil {
		o.Output = os.Stderr
	}
	a := newAgent(o)
	stop, cancelStop := context.WithCancel(ctx) // SIGTERM or /quitquitquit
	defer cancelStop()
	// The servers that Envoy depends on run until Envoy has ended: a proxy that drains still needs its certificate.
	serving, cancelServing := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelServing()
	group, serving := errgroup.WithContext(serving)
	a.serve(serving, group, cancelStop)
	group.Go(func() error {
		defer cancelServing()
		return a.proxy(serving, stop, group)
	})
	return group.Wait()
}

type agent struct {
	o       Options
	log     *slog.Logger
	client  *certclient.Client
	admin   *admin
	health  *health
	drainer *drainer
	xds     *xdsProxy
}

func newAgent(o Options) *agent {
	a := &agent{o: o, log: o.Logger, client: certclient.New(o.Certificates), admin: newAdmin(o.Config.Ports.Admin)}
	a.health = newHealth(o.Config, a.admin, a.client, o.Logger)
	a.drainer = newDrainer(o.Config, a.admin, a.health, o.Logger)
	a.xds = newXDSProxy(o.Config, a.client, a.health.counters, o.Logger)
	return a
}

// serve starts the parts that do not need a certificate: the client of the CA, the open port and the drain port.
func (a *agent) serve(ctx context.Context, group *errgroup.Group, stop context.CancelFunc) {
	group.Go(func() error { return a.client.Run(ctx) })
	group.Go(func() error { a.health.report(ctx); return nil })
	ports := a.o.Config.Ports
	group.Go(func() error { return httpserver.Serve(ctx, address("", ports.Agent), a.health.open()) })
	group.Go(func() error {
		return httpserver.Serve(ctx, address("127.0.0.1", ports.Drain), a.drainer.commands(stop))
	})
}

// proxy starts Envoy when there is a certificate, and returns when Envoy has ended for good. If serving ends early, a server that Envoy
// depends on has failed, and the group returns its error.
func (a *agent) proxy(serving, stop context.Context, group *errgroup.Group) error {
	if err := a.waitCertificate(serving, stop); err != nil {
		return nil // stopped before Envoy was started
	}
	if err := a.serveSockets(serving, group); err != nil {
		return err
	}
	running, cancel := until(serving, stop)
	defer cancel()
	envoy, err := a.superviseEnvoy(running)
	if envoy == nil {
		return err
	}
	if serving.Err() == nil {
		a.drainer.drain(serving)
	}
	envoy.stop()
	return nil
}

func (a *agent) waitCertificate(serving, stop context.Context) error {
	ctx, cancel := until(serving, stop)
	defer cancel()
	a.log.Info("waiting for the first certificate", "ca", a.o.Certificates.Address)
	return a.client.WaitReady(ctx)
}

// serveSockets opens both sockets before it returns, so that they exist when Envoy starts.
func (a *agent) serveSockets(ctx context.Context, group *errgroup.Group) error {
	c := a.o.Config
	sds, err := listenSocket(ctx, c.SDSSocket())
	if err != nil {
		return fmt.Errorf("open SDS socket: %w", err)
	}
	xds, err := listenSocket(ctx, c.XDSSocket())
	if err != nil {
		return errors.Join(fmt.Errorf("open XDS socket: %w", err), sds.Close())
	}
	group.Go(func() error { return serveSocket(ctx, newSDSServer(a.client, a.reservedFolders(), a.log), sds) })
	group.Go(func() error {
		return serveSocket(ctx, newXDSServer(a.xds), xds)
	})
	return nil
}

// reservedFolders have the files of this workload's identity: the sockets that serve its key, its token, its roots.
func (a *agent) reservedFolders() []string {
	return []string{a.o.Config.Dir, filepath.Dir(a.o.Certificates.TokenFile), filepath.Dir(a.o.Certificates.RootFile)}
}

// until returns a context that ends when one of the two ends.
func until(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	unlink := context.AfterFunc(b, cancel)
	return ctx, func() { unlink(); cancel() }
}

func address(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}
