// Package describe says in words which rules apply to a pod or a Service. It reads what pilot computes, a snapshot of the mesh and the
// scope of a proxy, so that it cannot disagree with what proxies get. It talks to nothing.
package describe

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/mesh-operator/mesh-operator/xds/analyze"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// writer writes an indented outline.
type writer struct {
	strings.Builder
	findings map[resource.Object]bool // the objects that were mentioned
}

func newWriter() *writer { return &writer{findings: map[resource.Object]bool{}} }

// line writes a line at a depth. Names and values are other people's: what cannot be printed becomes "?".
func (w *writer) line(depth int, format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	w.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

// by names objects as the reason of what stands before it.
func (w *writer) by(objects []resource.Object) string {
	if len(objects) == 0 {
		return ""
	}
	return " (" + w.names(objects) + ")"
}

func (w *writer) names(objects []resource.Object) string {
	var names []string
	for _, o := range objects {
		w.findings[o] = true
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// problems writes what pilot found wrong with the objects that were mentioned, and with those of the namespace, which may be missing
// above for that reason.
func (w *writer) problems(s *mesh.Snapshot, namespace string) {
	var lines []string
	for _, p := range slices.Concat(s.Problems, analyze.Check(s)) {
		if parts := strings.Split(string(p.Object), "/"); w.findings[p.Object] || len(parts) == 3 && parts[1] == namespace {
			text := string(p.Object) + ": "
			if p.Field != "" {
				text += p.Field + ": "
			}
			lines = append(lines, text+p.Reason)
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	w.line(0, "Problems")
	for _, text := range slices.Compact(lines) {
		w.line(1, "%s", text)
	}
}

// service writes what rules say of calls to a service.
func (w *writer) service(depth int, s *scope.Service) {
	if s.Routes == nil && s.Rule == nil {
		w.line(depth, "no VirtualService and no DestinationRule: all requests go to all endpoints in turn")
		return
	}
	if s.Routes != nil {
		w.line(depth, "routes of %s", w.names([]resource.Object{s.Routes.Object}))
		w.virtualService(depth+1, s.Routes)
	}
	if s.Rule != nil {
		w.line(depth, "policy of %s", w.names(s.Rule.Sources))
		w.rule(depth+1, s.Rule)
	}
}
