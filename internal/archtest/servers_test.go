package archtest

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// servers are the only files that make a server, each with limits on time, size and connections. A new one goes through
// internal/monitoring or is listed here with limits of its own.
var servers = []string{
	"ca/run.go",
	"internal/monitoring/monitoring.go",
	"proxy/agent/socket.go",
	"xds/server/grpc.go",
}

var makers = []string{"http.Server", "http.ListenAndServe", "http.ListenAndServeTLS", "http.Serve", "http.ServeTLS", "grpc.NewServer"}

func TestServersHaveLimits(t *testing.T) {
	found := map[string]bool{}
	walk(t, func(path string, file *ast.File, set *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "e2e/") {
			return
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if ok && slices.Contains(makers, of.Name+"."+selector.Sel.Name) && !isPointer(file, selector) {
				found[path] = true
				if !slices.Contains(servers, filepath.ToSlash(path)) {
					t.Errorf("%s: a server of its own; use internal/monitoring.Serve, which has limits", set.Position(selector.Pos()))
				}
			}
			return true
		})
	})
	for _, path := range servers {
		if !found[path] {
			t.Errorf("%s makes no server any more: take it off the list", path)
		}
	}
}

// isPointer tells whether a selector is the type of a field or parameter, which makes nothing.
func isPointer(file *ast.File, selector *ast.SelectorExpr) (pointer bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		if star, ok := node.(*ast.StarExpr); ok && star.X == selector {
			pointer = true
		}
		return !pointer
	})
	return pointer
}
