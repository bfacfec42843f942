package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/httpserver"
	"github.com/mesh-operator/mesh-operator/proxy/login"
	"github.com/mesh-operator/mesh-operator/proxy/tunnel"
)

// loginFlags are the flags of the login proxy.
type loginFlags struct {
	certificates                            certclient.Options
	listen, readyAddress, readyPath, target string
	root, credentials                       string
	open                                    []string
}

func newLoginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Ask for a password in front of a console of this pod that has no users of its own",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", ":20001", "address to serve HTTPS on")
	flags.StringVar(&f.target, "target", "http://127.0.0.1:20002", "URL of the console, on loopback")
	flags.StringVar(&f.root, "root", "/kiali", "path below which the console serves everything")
	flags.StringSliceVar(&f.open, "open", nil, "paths that need no login")
	flags.StringVar(&f.credentials, "credentials", "/var/run/secrets/login", "folder with username, and password or passwordHash (bcrypt)")
	flags.StringVar(&f.readyAddress, "ready-address", ":15021", "address of the probes, /healthz/ready and, of the console alone, /healthz/console")
	flags.StringVar(&f.readyPath, "ready-path", "/kiali/healthz", "what the console has to answer for readiness")
	flags.StringVar(&f.certificates.Address, "ca-address", certclient.DefaultAddress, "address of the CA")
	flags.StringVar(&f.certificates.TokenFile, "token-file", certclient.DefaultTokenFile, "service account token for the CA")
	flags.StringVar(&f.certificates.RootFile, "root-file", certclient.DefaultRootFile, "trust bundle for the CA")
	return cmd
}

func (f *loginFlags) run(ctx context.Context) error {
	target, err := url.Parse(f.target)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	listener, err := tunnel.Listen(f.listen)
	if err != nil {
		return err
	}
	f.certificates.Logger = slog.Default() // the root command has set it up by now
	client := certclient.New(f.certificates)
	handler := login.New(login.Options{Target: target, Root: f.root, Open: f.open, CredentialsDir: f.credentials, Logger: slog.Default()})
	probes := http.NewServeMux()
	probes.Handle("/healthz/ready", tunnel.Ready("/healthz/ready", client.CheckReady, f.target+f.readyPath))
	probes.Handle("/healthz/console", tunnel.Ready("/healthz/console", func() error { return nil }, f.target+f.readyPath))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return client.Run(ctx) })
	group.Go(func() error {
		return httpserver.ServeListener(ctx, tls.NewListener(listener, client.ServerTLS("http/1.1")), handler)
	})
	group.Go(func() error { return httpserver.Serve(ctx, f.readyAddress, probes) })
	return group.Wait()
}
