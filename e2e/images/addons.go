package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// addonRegistry is the prefix of add-ons' names. No registry has it: nothing pulls an official image by accident in a test, nor
// one of these in a real cluster.
const addonRegistry = "mesh-operator.local/"

const (
	prometheusVersion = "2.42.0"
	jaegerVersion     = "2.13.0"
)

// addon is a program of another project that the operator installs. Real clusters pull its official image; here it is put into a
// local image from what package registries have.
type addon struct {
	Image
	Version  string
	Licence  string // SPDX identifier
	Source   string // how the program is obtained
	Variable string // of the operator's environment that names the image
}

var addons = []addon{
	{
		Image: Image{
			Name: "prometheus", Title: "Prometheus as Debian packs it, with its classic page",
			Layers: [][]Entry{
				libc, prometheusPage, {{From: Prometheus, Path: "/usr/bin/prometheus", To: "/usr/bin/prometheus"}},
				{{From: Build, Path: "/out/prometheus", To: "/bin/prometheus"}}, // Debian's lacks the discovery of Kubernetes
			},
			Entrypoint: []string{"/bin/prometheus"}, User: "65534:65534", // nobody, as in the official image
		},
		Version: prometheusVersion, Licence: "Apache-2.0", Source: "package prometheus of Debian 12", Variable: "RELATED_IMAGE_PROMETHEUS",
	},
	{
		Image: Image{
			Name: "jaeger", Title: "Jaeger, in all its roles",
			Layers: [][]Entry{{
				debian("/etc/ssl/certs/ca-certificates.crt"),
				{From: Jaeger, To: "/cmd/jaeger/jaeger-linux"},
			}},
			Entrypoint: []string{"/cmd/jaeger/jaeger-linux"}, User: "10001:10001", // as in the official image
		},
		Version: jaegerVersion, Licence: "Apache-2.0", Source: "Go module github.com/jaegertracing/jaeger v1.76.0, whose cmd/jaeger is Jaeger " + jaegerVersion,
		Variable: "RELATED_IMAGE_JAEGER",
	},
	openSearch,
	{
		Image: Image{
			Name: "jaeger-es-index-cleaner", Title: "Jaeger's clean-up of the indices in Elasticsearch",
			Layers: [][]Entry{{
				debian("/etc/ssl/certs/ca-certificates.crt"),
				{From: IndexCleaner, To: "/go/bin/es-index-cleaner"},
			}},
			Entrypoint: []string{"/go/bin/es-index-cleaner"}, User: "10001:10001", // as in the official image
		},
		Version: jaegerVersion, Licence: "Apache-2.0", Source: "Go module github.com/jaegertracing/jaeger v1.76.0, cmd/es-index-cleaner",
		Variable: "RELATED_IMAGE_JAEGER_ES_INDEX_CLEANER",
	},
	grafana,
}

// allImages are the images of this repository and then the add-ons.
func allImages() []Image {
	all := slices.Clone(images)
	for _, a := range addons {
		a.Local = addonRegistry + a.Name + ":" + a.Version
		all = append(all, a.Image)
	}
	return all
}

// libc is what a dynamically linked Go program needs.
var libc = []Entry{debian("/lib64/ld-linux-x86-64.so.2"), debian("/lib/x86_64-linux-gnu/libc.so.6")}

// prometheusPackages are Prometheus and the libraries of its page, which Debian packs each by itself.
var prometheusPackages = []string{
	"prometheus=2.42.0+ds-5+deb12u1", "fonts-glyphicons-halflings", "libjs-bootstrap4", "libjs-d3", "libjs-eonasdan-bootstrap-datetimepicker",
	"libjs-jquery", "libjs-jquery-hotkeys", "libjs-moment", "libjs-moment-timezone", "libjs-mustache", "libjs-popper.js", "libjs-rickshaw",
}

// prometheusPage is the page with those files of the libraries that it loads: all of libjs-moment-timezone is 200 MB.
var prometheusPage = append([]Entry{
	{From: Prometheus, Path: "/usr/share/prometheus/web", To: "/usr/share/prometheus/web", Tree: true},
	{From: Prometheus, Path: "/usr/share/fonts-glyphicons", To: "/usr/share/fonts-glyphicons", Tree: true},
}, scripts("bootstrap4/css/bootstrap.min.css", "bootstrap4/js/bootstrap.min.js", "d3/d3.min.js",
	"eonasdan-bootstrap-datetimepicker/bootstrap-datetimepicker.min.css", "eonasdan-bootstrap-datetimepicker/bootstrap-datetimepicker.min.js",
	"jquery-hotkeys/jquery.hotkeys.js", "jquery/jquery.min.js", "moment/moment.min.js", "moment-timezone/moment-timezone-with-data.min.js",
	"mustache/mustache.min.js", "popper.js/popper.min.js", "rickshaw/rickshaw.min.css", "rickshaw/rickshaw.min.js")...)

func scripts(names ...string) []Entry {
	var entries []Entry
	for _, name := range names {
		entries = append(entries, Entry{From: Prometheus, Path: "/usr/share/javascript/" + name, To: "/usr/share/javascript/" + name})
	}
	return entries
}

// prometheusPath is known to the tests that run promtool or Prometheus as well.
func (b *builder) prometheusPath() string {
	return filepath.Join(b.cache, "prometheus-"+prometheusVersion)
}

func (b *builder) fetchPrometheus(ctx context.Context, path string) error {
	return b.unpackDebian(ctx, path, prometheusPackages...)
}

// jaegerModule is a module that asks for Jaeger and has no code: the program is compiled from its own module with the versions of
// this one's go.sum.
const jaegerModule = "e2e/images/jaeger"

// jaegerPath is the path of a program of Jaeger's, in another folder for other modules.
func (b *builder) jaegerPath(program string) string {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, _ := os.ReadFile(filepath.Join(b.root, jaegerModule, name)) // the compiler reports a file that is missing
		h.Write(text)
	}
	return filepath.Join(b.cache, "jaeger-"+jaegerVersion+"-"+hex.EncodeToString(h.Sum(nil))[:8], program)
}

// compileJaeger returns the step that compiles a program of Jaeger's.
func (b *builder) compileJaeger(program string) func(ctx context.Context, path string) error {
	return func(ctx context.Context, path string) error { return b.goBuildJaeger(ctx, program, path) }
}

func (b *builder) goBuildJaeger(ctx context.Context, program, path string) error {
	return b.run(ctx, filepath.Join(b.root, jaegerModule), "env", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=-mod=readonly",
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X github.com/jaegertracing/jaeger/internal/version.latestVersion=v"+jaegerVersion,
		"-o", path, "github.com/jaegertracing/jaeger/cmd/"+program)
}

// expand replaces folders by the files and links in them.
func (b *builder) expand(i Image) (Image, error) {
	layers := slices.Clone(i.Layers)
	for n, layer := range layers {
		layers[n] = nil
		for _, e := range layer {
			if !e.Tree {
				layers[n] = append(layers[n], e)
				continue
			}
			entries, err := b.tree(e)
			if err != nil {
				return i, err
			}
			layers[n] = append(layers[n], entries...)
		}
	}
	i.Layers = layers
	return i, nil
}

func (b *builder) tree(e Entry) ([]Entry, error) {
	var entries []Entry
	root := b.source(e)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside := filepath.ToSlash(strings.TrimPrefix(file, root))
		entry := Entry{From: e.From, Path: path.Join(e.Path, inside), To: path.Join(e.To, inside)}
		if d.Type() == fs.ModeSymlink {
			if entry.Link, err = os.Readlink(file); err != nil {
				return err
			}
		}
		entries = append(entries, entry)
		return nil
	})
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("find files in %s: there are none", root)
	}
	slices.SortFunc(entries, func(x, y Entry) int { return cmp.Compare(x.To, y.To) })
	return entries, err
}

// writeOperator writes a kustomization: config/default with the add-ons' local images.
func writeOperator(root, dir string) error {
	var variables []string
	for _, a := range addons {
		variables = append(variables, fmt.Sprintf("{name: %s, value: %q}", a.Variable, addonRegistry+a.Name+":"+a.Version))
	}
	return writeKustomization(root, dir, "# Written by go run ./e2e/images build: the operator with the add-ons' local images.\n", "name: istio-operator", variables)
}
