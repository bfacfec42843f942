// Command cluster runs a Kubernetes of one node on this machine: up, down, load, kubeconfig, status, urls.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/e2e/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster: error:", err)
		stop()
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "cluster",
		Short: "Run a Kubernetes of one node on this machine, with nothing installed on it",
		Long: "Run a Kubernetes of one node on this machine, with nothing installed on it.\n\n" +
			"Needs Debian 12, root and Go. Programs are fetched once into the cache; clusters of different names live side by side.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&f.name, "name", "demo", "the cluster's name")
	root.PersistentFlags().StringVar(&f.cache, "cache", defaultCache(), "folder of downloads, builds and clusters (MESH_CACHE)")
	root.PersistentFlags().StringVar(&f.source, "source", "", "folder of this module; empty: looked for around the program and the working folder")
	root.AddCommand(
		newUpCommand(f), newDownCommand(f), newFetchCommand(f), newLoadCommand(f),
		newStatusCommand(f), newKubeconfigCommand(f), newURLsCommand(f), newKubectlCommand(f), newDaemonCommand(f),
	)
	return root
}

type flags struct {
	name, cache, source string
}

func (f *flags) cluster(cmd *cobra.Command) (*cluster.Cluster, error) {
	return cluster.New(cluster.Options{Name: f.name, Cache: f.cache, Source: f.source, Out: cmd.ErrOrStderr()})
}

// withSource also finds the sources that programs are built from.
func (f *flags) withSource(cmd *cobra.Command) (*cluster.Cluster, error) {
	if f.source == "" {
		found, err := findSource()
		if err != nil {
			return nil, err
		}
		f.source = found
	}
	return f.cluster(cmd)
}
