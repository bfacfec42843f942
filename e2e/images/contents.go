package main

import "github.com/mesh-operator/mesh-operator/internal/version"

// registry is the prefix of every image's name.
const registry = "quay.io/mesh-operator/"

// Image is what goes into one container image. The Dockerfile at the top of the repository builds the two product images
// from the same lists; a test compares them.
type Image struct {
	Name       string
	Title      string
	Layers     [][]Entry // what changes least comes first: unchanged layers are not loaded or pulled again
	Entrypoint []string
	User       string
	Local      string // the whole reference of an image that no registry has; empty: the registry's, with this version as the tag
}

// Entry is a file, or a symbolic link when Link is set, at To in the image.
type Entry struct {
	From Stage
	Path string // within the stage
	To   string
	Link string
	Tree bool // a folder, with all that is in it
}

// Stage is where a file comes from: the repository itself, or what a step made.
type Stage string

// The stages have the names that the Dockerfile gives them.
const (
	Repository Stage = ""
	Build      Stage = "build"  // programs of this repository, static
	Envoy      Stage = "envoy"  // Envoy's official binary
	Debian     Stage = "debian" // the C library that it needs, and public authorities
	Prometheus Stage = "prometheus"
	Jaeger     Stage = "jaeger"
	OpenSearch Stage = "opensearch"
	Grafana    Stage = "grafana"

	IndexCleaner Stage = "index-cleaner"
)

const (
	productUser = "1337:1337" // the redirect lets this user's connections pass
	appUser     = "1000:1000" // the applications' must be captured: any other
)

// programs are the packages that stage build compiles, by the name of their binary.
var programs = map[string]string{
	"mesh-operator": "./cmd/mesh-operator",
	"mesh-agent":    "./cmd/mesh-agent",
	"bookinfo":      "./e2e/apps/bookinfo",
	"httpbin":       "./e2e/apps/httpbin",
	"sleep":         "./e2e/apps/sleep",
	"prometheus":    "./e2e/apps/prometheus",
	"opensearch":    "./e2e/apps/opensearch",
}

var users = Entry{From: Repository, Path: "e2e/images/files/passwd", To: "/etc/passwd"}

var images = []Image{
	{
		Name: "mesh-operator", Title: "mesh-operator: operator and control plane",
		Layers:     [][]Entry{{users, program("mesh-operator")}},
		Entrypoint: []string{"/usr/local/bin/mesh-operator"}, User: productUser,
	},
	{
		Name: "proxyv2", Title: "mesh-operator: Envoy and its agent",
		Layers: [][]Entry{
			{
				debian("/etc/ssl/certs/ca-certificates.crt"),
				debian("/lib64/ld-linux-x86-64.so.2"),
				debian("/lib/x86_64-linux-gnu/libc.so.6"),
				debian("/lib/x86_64-linux-gnu/libdl.so.2"),
				debian("/lib/x86_64-linux-gnu/libm.so.6"),
				debian("/lib/x86_64-linux-gnu/libpthread.so.0"),
				debian("/lib/x86_64-linux-gnu/librt.so.1"),
				{From: Envoy, Path: "/usr/local/bin/envoy", To: "/usr/local/bin/envoy"},
			},
			{users, program("mesh-agent")},
		},
		Entrypoint: []string{"/usr/local/bin/mesh-agent"}, User: productUser,
	},
	{
		Name: "bookinfo", Title: "Bookinfo, the sample application, in all its roles",
		Layers:     [][]Entry{{program("bookinfo")}},
		Entrypoint: []string{"/usr/local/bin/bookinfo"}, User: appUser,
	},
	{
		Name: "httpbin", Title: "a server that answers what it is asked for",
		Layers:     [][]Entry{{program("httpbin")}},
		Entrypoint: []string{"/usr/local/bin/httpbin"}, User: appUser,
	},
	{
		Name: "sleep", Title: "a pod to send requests from: sleep and curl",
		Layers: [][]Entry{{
			program("sleep"),
			{Link: "/usr/local/bin/sleep", To: "/usr/local/bin/curl"},
			{Link: "/usr/local/bin/sleep", To: "/bin/sleep"},
			{Link: "/usr/local/bin/sleep", To: "/usr/bin/curl"},
		}},
		Entrypoint: []string{"/usr/local/bin/sleep", "infinity"}, User: appUser,
	},
}

func program(name string) Entry {
	return Entry{From: Build, Path: "/out/" + name, To: "/usr/local/bin/" + name}
}

// debian is a file of Debian's, at its own place.
func debian(path string) Entry { return Entry{From: Debian, Path: path, To: path} }

// Reference is what a pod names.
func (i Image) Reference() string {
	if i.Local != "" {
		return i.Local
	}
	return registry + i.Name + ":" + version.Version
}

// programNames lists the binaries of stage build that the image holds.
func (i Image) programNames() []string {
	var names []string
	for _, layer := range i.Layers {
		for _, e := range layer {
			if e.From == Build && e.Link == "" {
				names = append(names, e.Path[len("/out/"):])
			}
		}
	}
	return names
}

func (i Image) needs(stage Stage) bool {
	for _, layer := range i.Layers {
		for _, e := range layer {
			if e.From == stage && e.Link == "" {
				return true
			}
		}
	}
	return false
}
