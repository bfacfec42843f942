// Command images builds the container images of this repository without a container engine: the two product images, the
// applications that the demo and the tests run in a mesh, and the add-ons, which a cluster without a registry cannot pull.
//
//	go run ./e2e/images build [NAME...] --out DIR    one NAME.tar each, as `ctr images import` and `docker load` take it
//	go run ./e2e/images push --registry HOST/FOLDER  the same, to a registry that the nodes of a cluster pull from
//	go run ./e2e/images fetch [NAME...]              what has to come from outside, such as envoy
//
// What is in an image is a table (contents.go, addons.go). An image is a function of its contents: the same files give the same bytes,
// which are kept in ${MESH_CACHE:-$HOME/.cache/mesh-operator}/images under a hash of them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "images: error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{Use: "images", Short: "Build container images without a container engine", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newBuildCommand(), newPushCommand(), newFetchCommand())
	return root
}

func newBuildCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build [NAME...]",
		Short: "Build the images, all of them or those named: " + strings.Join(imageNames(), " "),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := choose(args)
			if err != nil {
				return err
			}
			b, err := newBuilder(cmd)
			if err != nil {
				return err
			}
			return b.build(cmd.Context(), wanted, out)
		},
	}
	cmd.Flags().StringVar(&out, "out", ".out/images", "folder for NAME.tar")
	return cmd
}

func newFetchCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "fetch [NAME...]",
		Short:     "Fetch or compile what is missing of: " + strings.Join(artifactNames(), " "),
		ValidArgs: artifactNames(),
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = cmd.ValidArgs
			}
			b, err := newBuilder(cmd)
			if err != nil {
				return err
			}
			return b.fetch(cmd.Context(), args)
		},
	}
}

func imageNames() []string {
	var names []string
	for _, i := range allImages() {
		names = append(names, i.Name)
	}
	return names
}

func artifactNames() []string {
	var names []string
	for _, a := range (&builder{}).artifacts() {
		names = append(names, a.name)
	}
	return names
}

func choose(names []string) ([]Image, error) {
	for _, n := range names {
		if !slices.Contains(imageNames(), n) {
			return nil, fmt.Errorf("no image %q: there are %s", n, strings.Join(imageNames(), ", "))
		}
	}
	if len(names) == 0 {
		return allImages(), nil
	}
	return slices.DeleteFunc(allImages(), func(i Image) bool { return !slices.Contains(names, i.Name) }), nil
}

func newBuilder(cmd *cobra.Command) (*builder, error) {
	cache, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	root, err := repository()
	if err != nil {
		return nil, err
	}
	return &builder{root: root, cache: cache, out: cmd.OutOrStdout(), log: cmd.ErrOrStderr()}, nil
}

func cacheFolder() (string, error) {
	if dir := os.Getenv("MESH_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "mesh-operator"), err
}

// repository finds the top folder from the working folder upwards.
func repository() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "e2e", "images", "contents.go")); statErr == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find the repository: run this inside a clone of it: %w", err)
}
