package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/server"
)

func newInprocessCommand() *cobra.Command {
	s, quiet := size{}, time.Duration(0)
	cmd := &cobra.Command{
		Use: "inprocess", Short: "pilot without an API server, and proxies on loopback that follow a few changes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inprocess(cmd.Context(), cmd.OutOrStdout(), s, quiet)
		},
	}
	cmd.Flags().IntVar(&s.services, "services", 1000, "services in the mesh")
	cmd.Flags().IntVar(&s.namespaces, "namespaces", 20, "namespaces that they are spread over")
	cmd.Flags().IntVar(&s.endpoints, "endpoints", 5, "endpoints of each service")
	cmd.Flags().IntVar(&s.proxies, "proxies", 200, "proxies that connect")
	cmd.Flags().DurationVar(&quiet, "quiet", 300*time.Millisecond, "a step is over when no proxy has received a message for so long")
	return cmd
}

// inprocess serves a synthetic mesh to proxies on loopback. Processor time is that of both sides.
func inprocess(ctx context.Context, out io.Writer, s size, quiet time.Duration) error {
	if s.services <= one || s.namespaces < 1 || s.endpoints < 1 || s.proxies > s.services*s.endpoints {
		return fmt.Errorf("want more than %d services, a namespace, an endpoint each, and no more proxies than endpoints", one)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := newWorld(s)
	p := server.New(slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry())
	snapshot := mesh.Build(nil, w.in)
	p.Publish(snapshot)
	l, err := server.ListenLoopback("127.0.0.1:0")
	if err != nil {
		return err
	}
	g := p.Insecure()
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	defer g.Stop()

	f, err := openFleet(ctx, l.Addr().String(), insecure.NewCredentials(), w.nodes(), quiet)
	if err != nil {
		return errors.Join(err, notNil(served))
	}
	r := newReport(out)
	defer r.flush()
	r.line("first configuration", f.start(ctx))
	for _, c := range changes {
		for range 3 { // the first time also pays for what later ones reuse
			c.apply(w)
			got, err := f.measure(ctx, func() error {
				snapshot = mesh.Build(snapshot, w.in)
				p.Publish(snapshot)
				return nil
			})
			if err != nil {
				return err
			}
			r.line(c.name, got)
		}
	}
	return nil
}

// notNil returns an error that is waiting, if there is one.
func notNil(errs <-chan error) error {
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
