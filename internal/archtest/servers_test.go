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
// internal/httpserver or is listed here with limits of its own.
var servers = []string{
	"ca/run.go",
	"internal/httpserver/httpserver.go",
	"mixer/telemetry/receive.go",
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
					t.Errorf("%s: a server of its own; use internal/httpserver.Serve, which has limits", set.Position(selector.Pos()))
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

// loopbackOnly are the files whose sockets no untrusted client reaches, which they check themselves.
var loopbackOnly = []string{"xds/server/grpc.go"}

// TestListenersHaveAShare: who opens a port gives an address no more than its share of the connections.
func TestListenersHaveAShare(t *testing.T) {
	found := 0
	walk(t, func(path string, file *ast.File, set *token.FileSet) {
		slashed := filepath.ToSlash(path)
		tools := strings.HasPrefix(slashed, "e2e/") || strings.HasPrefix(slashed, "bench/") || strings.HasPrefix(slashed, "internal/envoytest/")
		if tools || strings.HasSuffix(path, "_test.go") || slices.Contains(loopbackOnly, slashed) {
			return
		}
		if open := calls(file, "Listen", `"tcp"`); open != nil {
			found++
			if calls(file, "New", "connlimit") == nil {
				t.Errorf("%s: a port without connlimit.New", set.Position(open.Pos()))
			}
		}
	})
	if found == 0 {
		t.Error("no file opens a port: the search is blind")
	}
}

// calls finds a call of a method or function of that name that has the word as an argument, or before its dot.
func calls(file *ast.File, name, word string) (call *ast.CallExpr) {
	ast.Inspect(file, func(node ast.Node) bool {
		c, ok := node.(*ast.CallExpr)
		if !ok {
			return call == nil
		}
		selector, ok := c.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != name {
			return call == nil
		}
		of, _ := selector.X.(*ast.Ident)
		argument := slices.ContainsFunc(c.Args, func(e ast.Expr) bool {
			literal, ok := e.(*ast.BasicLit)
			return ok && literal.Value == word
		})
		if argument || of != nil && of.Name == word {
			call = c
		}
		return call == nil
	})
	return call
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
