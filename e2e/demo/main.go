// Command demo is `make demo`: it boots a local cluster, installs the mesh from one resource, deploys Bookinfo, sends a fixed
// number of requests and prints pods, identities and addresses. Every long step shows its elapsed time; a failed one prints the
// reason and where the logs are.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		stop()
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	d := &demo{out: os.Stdout}
	root := &cobra.Command{Use: "demo", Short: "The mesh on a local cluster", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&d.operator, "operator", "config/default", "kustomization of the operator for an existing cluster, such as one of yours with images of a mirror")
	root.PersistentFlags().StringVar(&d.name, "name", "demo", "name of the local cluster, or "+existing+": the current context of your kubeconfig")
	root.PersistentFlags().StringVar(&d.registry, "registry", "", "registry and folder of all images for an existing cluster, which go run ./e2e/images push filled")
	add := func(use, short string, run func(context.Context) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context())
		}})
	}
	add("up", "boot, install, deploy Bookinfo, send requests, show the result", d.up)
	add("cluster", "boot a cluster with all images and nothing else", d.cluster)
	add("down", "remove the cluster", d.down)
	add("urls", "print one 'name url' a line", d.urls)
	add("kubeconfig", "print the path of the kubeconfig", d.kubeconfig)
	return root
}
