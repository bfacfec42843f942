// Command gen writes what users install the operator from.
//
//	go run ./controllers/installation/packaging/gen generate                              the committed files: config, bundle
//	go run ./controllers/installation/packaging/gen install --from DIR --registry HOST    one file for kubectl, to standard output
//	go run ./controllers/installation/packaging/gen catalog --registry HOST --out DIR     a file-based catalog for OLM
package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/packaging"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "packaging: error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{Use: "gen", SilenceUsage: true, SilenceErrors: true}
	generate := &cobra.Command{Use: "generate", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return generate(".") }}
	var from, registry, out string
	install := &cobra.Command{Use: "install", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return install(cmd.OutOrStdout(), from, registry)
	}}
	install.Flags().StringVar(&from, "from", packaging.Default, "kustomization")
	install.Flags().StringVar(&registry, "registry", "", "registry and folder of all images; empty: the built-in ones")
	catalog := &cobra.Command{Use: "catalog", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		files, err := packaging.Catalog(os.DirFS("."), registry)
		if err != nil {
			return err
		}
		return write(out, files)
	}}
	catalog.Flags().StringVar(&registry, "registry", "", "registry and folder of the bundle's image; empty: the built-in one")
	catalog.Flags().StringVar(&out, "out", ".out/catalog", "folder to write to")
	root.AddCommand(generate, install, catalog)
	return root
}

func install(to io.Writer, from, registry string) error {
	text, err := packaging.Install(os.DirFS("."), from, registry)
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	return err
}

// generate writes the committed files. The Deployment comes first, because the others are made from it.
func generate(root string) error {
	repository := os.DirFS(root)
	text, err := fs.ReadFile(repository, "config/manager/deployment.yaml")
	if err != nil {
		return err
	}
	if text, err = packaging.Deployment(text); err != nil {
		return err
	}
	if err := write(root, map[string][]byte{"config/manager/deployment.yaml": text}); err != nil {
		return err
	}
	files, err := packaging.Files(repository, desired.Components())
	if err != nil {
		return err
	}
	return write(root, files)
}

func write(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}
