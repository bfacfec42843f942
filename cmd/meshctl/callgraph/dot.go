package callgraph

import (
	"fmt"
	"strings"
)

// Dot is the graph in the language of Graphviz, with a cluster for each namespace
// (https://graphviz.org/doc/info/lang.html).
func (g Graph) Dot() string {
	var b strings.Builder
	b.WriteString("digraph mesh {\n  rankdir=LR\n  node [shape=box, style=rounded, fontname=\"sans-serif\"]\n  edge [fontname=\"sans-serif\", fontsize=10]\n")
	for i := 0; i < len(g.Nodes); {
		namespace := g.Nodes[i].Namespace
		indent := "  "
		if namespace != "" {
			fmt.Fprintf(&b, "  subgraph %s {\n    label=%s\n", quote("cluster_"+namespace), quote(namespace))
			indent = "    "
		}
		for ; i < len(g.Nodes) && g.Nodes[i].Namespace == namespace; i++ {
			fmt.Fprintf(&b, "%s%s [label=%s]\n", indent, quote(g.Nodes[i].String()), quote(g.Nodes[i].Name))
		}
		if namespace != "" {
			b.WriteString("  }\n")
		}
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s, color=%s]\n", quote(e.From.String()), quote(e.To.String()), quote(strings.Join(e.label(), "\n")), quote(e.color()))
	}
	return b.String() + "}\n"
}

// quote makes a quoted string: the only escape in it is that of the quotation mark, and \n is a line of a label.
func quote(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.ReplaceAll(strings.ReplaceAll(printable(lines[i]), `\`, `\\`), `"`, `\"`)
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// label is what stands beside an edge, in lines.
func (e Edge) label() []string {
	lines := e.words()
	lines[0] = strings.TrimSpace(symbols[e.security()] + " " + lines[0])
	return lines
}

func (e Edge) words() []string {
	lines := []string{e.rate()}
	if e.Errors > 0 {
		lines[0] += ", " + e.errors() + " errors"
	}
	if e.P50 != nil && e.P99 != nil {
		lines = append(lines, Duration(e.P50)+" / "+Duration(e.P99))
	}
	return lines
}

// color is by the share of errors, with the bounds of Kiali's defaults: 0.1 % and 10 %.
func (e Edge) color() string {
	switch share := e.errorShare(); {
	case share >= 0.1:
		return "#c9190b"
	case share >= 0.001:
		return "#c58c00"
	case e.Requests == 0:
		return "#2b6cb0" // TCP
	}
	return "#3e8635"
}
