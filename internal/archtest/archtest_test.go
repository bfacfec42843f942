// Package archtest keeps the structure of the repository what ARCHITECTURE.md says it is: who may import whom, and how long
// functions and files may grow. The rules are tables; a violation names the file, the rule and the way out.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mesh-operator/mesh-operator/"

// imports says which of our folders a folder may import; every folder
// may import what is below itself, the longest prefix wins, and a folder that has no line here is a violation.
var imports = map[string][]string{
	"api":                                {},
	"bench":                              {"internal", "xds"},
	"charts":                             {},
	"ca":                                 {"internal"},
	"cmd":                                {"api", "ca", "controllers", "galley", "injector", "internal", "mixer", "proxy", "xds"},
	"controllers":                        {"api", "charts", "internal"},
	"controllers/installation/kinds":     {"internal"},
	"controllers/installation/desired":   {"api", "charts", "controllers/installation/kinds", "internal"},
	"controllers/installation/dataplane": {"internal"},
	"controllers/installation/report":    {"api", "controllers/installation/dataplane", "controllers/installation/desired", "internal"},
	"controllers/installation/watch":     {"controllers/installation/kinds", "internal"},
	"controllers/installation/rbac":      {"api", "charts", "controllers/installation", "internal"},
	"controllers/installation/packaging": {"api", "controllers/installation/admission", "controllers/installation/desired", "controllers/installation/kinds", "internal"},
	"e2e":                                {"api", "e2e", "internal"},
	"e2e/apiserver":                      {"api", "cmd/meshctl/check", "controllers", "e2e", "internal"},
	"galley":                             {"internal"},
	"injector":                           {"internal"},
	"internal/accesslog":                 {},
	"internal/admission":                 {"internal/connlimit", "internal/httpserver"},
	"internal/apply":                     {},
	"internal/archtest":                  {},
	"internal/command":                   {"internal/version"},
	"internal/certclient":                {"internal/backoff", "internal/spiffe", "internal/trust"},
	"internal/certfile":                  {},
	"internal/backoff":                   {},
	"internal/canonical":                 {},
	"internal/connlimit":                 {},
	"internal/dashboards":                {},
	"internal/debounce":                  {},
	"internal/envoytest":                 {},
	"internal/golden":                    {},
	"internal/helm":                      {},
	"internal/httpserver":                {"internal/connlimit"},
	"internal/injecttemplate":            {"internal/owner", "internal/version"},
	"internal/istioconfig":               {"internal/certfile", "internal/golden", "internal/telemetry"},
	"internal/istiocrd":                  {"internal/istioconfig", "internal/owner"},
	"internal/kube":                      {"internal/owner", "internal/version"},
	"internal/listing":                   {},
	"internal/monitoring":                {"internal/httpserver", "internal/version"},
	"internal/names":                     {},
	"internal/owner":                     {},
	"internal/ratelimit":                 {},
	"internal/spiffe":                    {},
	"internal/telemetry":                 {"internal/canonical", "internal/spiffe"},
	"internal/trust":                     {},
	"internal/version":                   {},
	"internal/workload":                  {},
	"mixer/telemetry":                    {"internal"},
	"proxy/agent":                        {"internal"},
	"proxy/login":                        {"internal"},
	"proxy/redirect":                     {"internal"},
	"proxy/tunnel":                       {"internal"},
	"xds":                                {"internal", "xds"},
	"xds/analyze":                        {"internal", "xds/mesh", "xds/resource", "xds/table"},
	"xds/table":                          {},
	"xds/resource":                       {"xds/table"},
	"xds/source":                         {"internal", "xds/mesh", "xds/table"},
	"xds/mesh":                           {"internal", "xds/resource", "xds/table"},
	"xds/scope":                          {"internal", "xds/mesh", "xds/resource", "xds/table"},
	"xds/envoy":                          {"internal", "xds/mesh", "xds/resource", "xds/scope", "xds/table"},
	"xds/server":                         {"internal", "xds/envoy", "xds/mesh", "xds/resource", "xds/scope", "xds/table"},
}

// testImports says what tests of a folder may import besides.
var testImports = map[string][]string{
	"xds/scope":  {"xds/analyze"},                    // the findings of a case beside its resources
	"xds/envoy":  {"xds/analyze", "mixer/telemetry"}, // access logs that reach the role
	"xds/server": {"xds/analyze"},
}

// confined names packages that only some of our folders may import; the longest prefix wins.
var confined = map[string][]string{
	"helm.sh/helm":                           {"internal/helm"},
	"k8s.io/client-go/informers":             {"xds/source", "ca", "injector", "controllers", "e2e/apps/prometheus"},
	"github.com/fluxcd":                      {"internal/apply", "controllers"},
	"github.com/operator-framework/api":      {"controllers/installation/packaging", "e2e/apiserver"},
	"sigs.k8s.io/controller-runtime":         {"controllers", "cmd", "internal/apply", "e2e"},
	"github.com/google/nftables":             {"proxy/redirect"},
	"github.com/vishvananda/netlink":         {"proxy/redirect"},
	"github.com/google/go-containerregistry": {"e2e"},
	// Parsing of image references, without a client.
	"github.com/google/go-containerregistry/pkg/name": {"e2e", "controllers/installation/desired"},
}

// pure names packages that do input and output, which stages that are functions from a snapshot to resources must not import.
// Their tests may: they send requests through a real Envoy.
var (
	pureFolders = []string{"xds/analyze", "xds/mesh", "xds/scope", "xds/envoy"}
	ioPackages  = []string{"google.golang.org/grpc", "net/http", "k8s.io/client-go"}
)

const (
	longestFunction = 80
	longestFile     = 400
)

func TestImports(t *testing.T) {
	walk(t, func(path string, file *ast.File, _ *token.FileSet) {
		folder := filepath.Dir(path)
		for _, spec := range file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(target, module); ok && !allowed(folder, ours) && !allowedInTests(path, ours) {
				t.Errorf("%s imports %s: %s may import only %v; let them meet through an object, gRPC or a file, or move the shared part to internal/",
					path, ours, folder, imports[rule(folder)])
			}
			checkConfined(t, path, folder, target)
			if isImpure(path, target) {
				t.Errorf("%s imports %s: %v are pure; do input and output in xds/source or xds/server", path, target, pureFolders)
			}
		}
	})
}

func checkConfined(t *testing.T, path, folder, target string) {
	longest := ""
	for prefix := range confined {
		if within(target, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	if homes := confined[longest]; longest != "" && !slices.ContainsFunc(homes, func(home string) bool { return within(folder, home) }) {
		t.Errorf("%s imports %s: only %v may", path, target, homes)
	}
}

// isImpure reports an import of input and output by a pure stage.
func isImpure(path, target string) bool {
	if strings.HasSuffix(path, "_test.go") || !slices.ContainsFunc(pureFolders, func(folder string) bool { return within(path, folder) }) {
		return false
	}
	return slices.ContainsFunc(ioPackages, func(prefix string) bool { return within(target, prefix) })
}

func TestPureStages(t *testing.T) {
	for _, c := range []struct {
		path, target string
		want         bool
	}{
		{"xds/envoy/route.go", "net/http", true},
		{"xds/scope/scope.go", "google.golang.org/grpc/codes", true},
		{"xds/mesh/build.go", "k8s.io/client-go/tools/cache", true},
		{"xds/mesh/build.go", "net/netip", false},
		{"xds/envoy/request_test.go", "net/http", false},
		{"xds/server/server.go", "google.golang.org/grpc", false},
	} {
		if got := isImpure(c.path, c.target); got != c.want {
			t.Errorf("%s imports %s: impure %t, want %t", c.path, c.target, got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	walk(t, func(path string, file *ast.File, set *token.FileSet) {
		if lines := set.Position(file.End()).Line; lines > longestFile {
			t.Errorf("%s has %d lines; split it below %d", path, lines, longestFile)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > longestFunction {
				t.Errorf("%s: %s has %d lines; split it below %d", path, f.Name.Name, lines, longestFunction)
			}
		}
	})
}

// allowed reports whether a file in folder may import the package at target, both relative to the module.
func allowed(folder, target string) bool {
	home := rule(folder)
	if home == "" {
		return false
	}
	return within(target, home) || slices.ContainsFunc(imports[home], func(prefix string) bool { return within(target, prefix) })
}

func allowedInTests(path, target string) bool {
	return strings.HasSuffix(path, "_test.go") && slices.Contains(testImports[filepath.Dir(path)], target)
}

// rule returns the longest key of imports that folder lies in.
func rule(folder string) string {
	for ; folder != "."; folder = filepath.Dir(folder) {
		if _, ok := imports[folder]; ok {
			return folder
		}
	}
	return ""
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// walk parses every Go file of the module; generated code and the modules below e2e have their own rules.
func walk(t *testing.T, visit func(path string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && relative != "." || slices.Contains([]string{"e2e/cluster", "e2e/bundle"}, relative)) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "zz_generated") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(relative, file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
