package callgraph

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tree draws the graph as text: each node with the nodes it calls below it, from those that nobody calls on. A node's calls are listed
// once, where it is first met.
func (g Graph) Tree() string {
	if len(g.Edges) == 0 {
		return "no calls\n"
	}
	t := &tree{edges: g.edgesFrom(), listed: map[Node]bool{}}
	for _, root := range g.roots() {
		t.root(root)
	}
	for _, n := range g.Nodes { // circles that nobody calls from outside
		t.root(n)
	}
	return t.String()
}

// roots are the nodes that nobody else calls, workloads before unknown clients.
func (g Graph) roots() []Node {
	roots := slices.DeleteFunc(slices.Clone(g.Nodes), func(n Node) bool {
		return slices.ContainsFunc(g.Edges, func(e Edge) bool { return e.To == n && e.From != n })
	})
	slices.SortStableFunc(roots, func(a, b Node) int { return strings.Compare(b.Kind, a.Kind) })
	return roots
}

type tree struct {
	edges  map[Node][]Edge
	listed map[Node]bool
	rows   [][]string // the drawing and the node, the padlock, rate, errors, p50, p99
}

func (t *tree) root(n Node) {
	if t.listed[n] || len(t.edges[n]) == 0 {
		return
	}
	t.rows = append(t.rows, []string{n.String()})
	t.below(n, "")
}

func (t *tree) below(n Node, indent string) {
	t.listed[n] = true
	for i, e := range t.edges[n] {
		branch, next := "├─ ", "│  "
		if i == len(t.edges[n])-1 {
			branch, next = "└─ ", "   "
		}
		name := e.To.String()
		again := t.listed[e.To] && len(t.edges[e.To]) > 0
		if again {
			name += " (above)"
		}
		t.rows = append(t.rows, []string{indent + branch + name, symbols[e.security()], e.rate(), e.errors(), Duration(e.P50), Duration(e.P99)})
		if !again {
			t.below(e.To, indent+next)
		}
	}
}

// symbols are two columns wide in a terminal.
var symbols = map[padlock]string{noPadlock: "  ", locked: "🔒", unlocked: "🔓"}

func (t *tree) String() string {
	header := []string{"CALLS", "  ", "RATE", "ERRORS", "P50", "P99"}
	rows := append([][]string{header}, t.rows...)
	widths := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	widths[1] = 1 // the symbols are one rune each and two columns wide; see pad
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(pad(cell, widths[i]) + "  ")
		}
		fmt.Fprintln(&b, strings.TrimRight(line.String(), " "))
	}
	return b.String()
}

func pad(cell string, width int) string {
	return cell + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(cell)))
}
