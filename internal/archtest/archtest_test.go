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
	"cmd":                                {"api", "ca", "controllers", "galley", "injector", "internal", "proxy", "xds"},
	"controllers":                        {"api", "charts", "internal"},
	"controllers/installation/kinds":     {"internal"},
	"controllers/installation/desired":   {"api", "charts", "controllers/installation/kinds", "internal"},
	"controllers/installation/dataplane": {"internal"},
	"controllers/installation/report":    {"api", "controllers/installation/dataplane", "controllers/installation/desired", "internal"},
	"controllers/installation/watch":     {"controllers/installation/kinds", "internal"},
	"controllers/installation/rbac":      {"api", "charts", "controllers/installation", "internal"},
	"e2e":                                {"api", "e2e", "internal"},
	"e2e/apiserver":                      {"api", "controllers", "e2e", "internal"},
	"galley":                             {"internal"},
	"injector":                           {"internal"},
	"internal":                           {"internal"},
	"proxy/agent":                        {"internal"},
	"proxy/redirect":                     {"internal"},
	"xds":                                {"internal", "xds"},
	"xds/table":                          {},
	"xds/resource":                       {"xds/table"},
	"xds/source":                         {"internal", "xds/mesh", "xds/table"},
	"xds/mesh":                           {"internal", "xds/resource", "xds/table"},
	"xds/scope":                          {"internal", "xds/mesh", "xds/resource", "xds/table"},
	"xds/envoy":                          {"internal", "xds/mesh", "xds/resource", "xds/scope", "xds/table"},
	"xds/server":                         {"internal", "xds/envoy", "xds/mesh", "xds/resource", "xds/scope", "xds/table"},
}

// confined names packages that only one of our folders may import.
var confined = map[string][]string{
	"helm.sh/helm":                           {"internal/helm"},
	"k8s.io/client-go/informers":             {"xds/source", "ca", "injector", "controllers"},
	"github.com/fluxcd":                      {"internal/apply", "controllers"},
	"sigs.k8s.io/controller-runtime":         {"controllers", "cmd", "internal/apply", "e2e"},
	"github.com/google/nftables":             {"proxy/redirect"},
	"github.com/vishvananda/netlink":         {"proxy/redirect"},
	"github.com/google/go-containerregistry": {"e2e"},
}

const (
	longestFunction = 80
	longestFile     = 400
)

func TestImports(t *testing.T) {
	walk(t, func(path string, file *ast.File, _ *token.FileSet) {
		folder := filepath.Dir(path)
		for _, spec := range file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(target, module); ok && !allowed(folder, ours) {
				t.Errorf("%s imports %s: %s may import only %v; let them meet through an object, gRPC or a file, or move the shared part to internal/",
					path, ours, folder, imports[rule(folder)])
			}
			checkConfined(t, path, folder, target)
		}
	})
}

func checkConfined(t *testing.T, path, folder, target string) {
	for prefix, homes := range confined {
		if !strings.HasPrefix(target, prefix) {
			continue
		}
		if !slices.ContainsFunc(homes, func(home string) bool { return within(folder, home) }) {
			t.Errorf("%s imports %s: only %v may", path, target, homes)
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
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && relative != "." || relative == "e2e/cluster") {
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
