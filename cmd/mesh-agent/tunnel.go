package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/httpserver"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/proxy/tunnel"
)

func newTunnelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Carry connections of an add-on between two pods over mutual TLS",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newTunnelServerCommand(), newTunnelClientCommand())
	return cmd
}

// tunnelFlags are the flags of both ends.
type tunnelFlags struct {
	certificates                   certclient.Options
	listen, readyAddress, readyURL string
}

func (f *tunnelFlags) register(cmd *cobra.Command, listen string) {
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", listen, "address to accept connections on")
	flags.StringVar(&f.readyAddress, "ready-address", ":15021", "address of the readiness probe, /healthz/ready")
	flags.StringVar(&f.readyURL, "ready-url", "", "what has to answer for readiness; empty: nothing but the certificate")
	flags.StringVar(&f.certificates.Address, "ca-address", certclient.DefaultAddress, "address of the CA")
	flags.StringVar(&f.certificates.TokenFile, "token-file", certclient.DefaultTokenFile, "service account token for the CA")
	flags.StringVar(&f.certificates.RootFile, "root-file", certclient.DefaultRootFile, "trust bundle for the CA and the other end")
}

func newTunnelServerCommand() *cobra.Command {
	var f tunnelFlags
	var target string
	var allow []string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Forward connections of the allowed identities to a port of this pod",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var allowed []spiffe.ID
			for _, text := range allow {
				id, err := spiffe.Parse(text)
				if err != nil {
					return fmt.Errorf("--allow: %w", err)
				}
				allowed = append(allowed, id)
			}
			return f.run(cmd.Context(), func(client *certclient.Client) *tunnel.Tunnel {
				return tunnel.NewServer(client.MutualServerTLS(tunnel.Protocol), target, allowed, slog.Default())
			})
		},
	}
	f.register(cmd, ":9200")
	cmd.Flags().StringVar(&target, "target", "127.0.0.1:9201", "host:port to forward to")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "identities that may connect, as in spiffe://cluster.local/ns/istio-system/sa/jaeger")
	return cmd
}

func newTunnelClientCommand() *cobra.Command {
	var f tunnelFlags
	var server string
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Forward connections from a port of this pod to the other end",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(server)
			if err != nil {
				return fmt.Errorf("--server: %w", err)
			}
			return f.run(cmd.Context(), func(client *certclient.Client) *tunnel.Tunnel {
				return tunnel.NewClient(withProtocol(client.ClientTLS(host)), server, slog.Default())
			})
		},
	}
	f.register(cmd, "127.0.0.1:9200")
	cmd.Flags().StringVar(&server, "server", "", "host:port of the other end, by the DNS name in its certificate")
	return cmd
}

func withProtocol(c *tls.Config) *tls.Config {
	c.NextProtos = []string{tunnel.Protocol}
	return c
}

func (f *tunnelFlags) run(ctx context.Context, end func(*certclient.Client) *tunnel.Tunnel) error {
	listener, err := tunnel.Listen(f.listen)
	if err != nil {
		return err
	}
	f.certificates.Logger = slog.Default() // the root command has set it up by now
	client := certclient.New(f.certificates)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return client.Run(ctx) })
	group.Go(func() error { return end(client).Serve(ctx, listener) })
	group.Go(func() error {
		return httpserver.Serve(ctx, f.readyAddress, tunnel.Ready("/healthz/ready", client.CheckReady, f.readyURL))
	})
	return group.Wait()
}
