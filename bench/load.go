package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// loadOptions are the flags of the load command.
type loadOptions struct {
	address    string
	nodesFile  string
	commands   []string
	quiet      time.Duration
	cert, key  string
	root       string
	serverName string
}

func newLoadCommand() *cobra.Command {
	o := loadOptions{}
	cmd := &cobra.Command{
		Use: "load", Short: "proxies at the address of any delta ADS server, while commands of yours change the mesh", Args: cobra.NoArgs,
		Example: `  kubectl get pods -A -l security.istio.io/tlsMode=istio -o jsonpath='{range .items[*]}sidecar~{.status.podIP}~{.metadata.name}.{.metadata.namespace}~{.metadata.namespace}.svc.cluster.local{"\n"}{end}' > nodes
  go run ./bench load --address 127.0.0.1:15010 --nodes nodes --change 'kubectl scale -n shop deployment/cart --replicas 3'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return load(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	cmd.Flags().StringVar(&o.address, "address", "127.0.0.1:15010", "where the server listens")
	cmd.Flags().StringVar(&o.nodesFile, "nodes", "", "file with the node ids of the proxies, one a line")
	cmd.Flags().StringArrayVar(&o.commands, "change", nil, "command that changes the mesh; repeat it for several")
	cmd.Flags().DurationVar(&o.quiet, "quiet", 2*time.Second, "a step is over when no proxy has received a message for so long")
	cmd.Flags().StringVar(&o.cert, "cert", "", "client certificate, PEM; none: plaintext")
	cmd.Flags().StringVar(&o.key, "key", "", "its key, PEM")
	cmd.Flags().StringVar(&o.root, "root", "", "roots that the server is verified with, PEM")
	cmd.Flags().StringVar(&o.serverName, "server-name", "istio-pilot.istio-system.svc", "name that the server's certificate has")
	_ = cmd.MarkFlagRequired("nodes")
	return cmd
}

func load(ctx context.Context, out io.Writer, o loadOptions) error {
	creds, err := o.credentials()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(o.nodesFile)
	if err != nil {
		return fmt.Errorf("read --nodes: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := openFleet(ctx, o.address, creds, strings.Fields(string(text)), o.quiet)
	if err != nil {
		return err
	}
	r := newReport(out)
	defer r.flush()
	r.line("first configuration", f.start(ctx))
	for _, command := range o.commands {
		got, err := f.measure(ctx, func() error { return shell(ctx, command) })
		if err != nil {
			return err
		}
		r.line(command, got)
	}
	return nil
}

func shell(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run --change %q: %w", command, err)
	}
	return nil
}

func (o loadOptions) credentials() (credentials.TransportCredentials, error) {
	if o.cert == "" {
		return insecure.NewCredentials(), nil
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, fmt.Errorf("read --cert and --key: %w", err)
	}
	text, err := os.ReadFile(o.root)
	if err != nil {
		return nil, fmt.Errorf("read --root: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("read --root: no certificate in it")
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: o.serverName,
	}), nil
}
