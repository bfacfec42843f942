package callgraph

import (
	"fmt"
	"slices"
	"strings"
)

// SVG is the graph as a picture: callers left, what they call right. The colour of an edge is by its share of errors, the padlock says
// whether it is mutual TLS.
func (g Graph) SVG() string {
	l := newLayout(g)
	if len(g.Nodes) == 0 {
		l.width, l.height = 160, 60
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif">`+"\n", l.width, l.height, l.width, l.height)
	b.WriteString(svgDefinitions)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="#ffffff"/>`+"\n", l.width, l.height)
	if len(g.Nodes) == 0 {
		b.WriteString(`<text x="80" y="34" text-anchor="middle" font-size="13">no calls</text>` + "\n")
	}
	for i, e := range g.Edges {
		writeLine(&b, e, l.path(g, i))
	}
	for i, n := range g.Nodes {
		writeBox(&b, n, l.boxes[i])
	}
	for i, e := range g.Edges { // above lines and boxes
		writeLabel(&b, e, l.labelAt(g, i))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// svgDefinitions are an arrow in the colour of its line, and padlocks.
const svgDefinitions = `<defs>
<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker>
<g id="locked"><rect y="4" width="9" height="7" rx="1" fill="#3e8635"/><path d="M2 4V2.5a2.5 2.5 0 0 1 5 0V4" fill="none" stroke="#3e8635" stroke-width="1.5"/></g>
<g id="unlocked"><rect y="4" width="9" height="7" rx="1" fill="#c9190b"/><path d="M2 4V2.5a2.5 2.5 0 0 1 5 0" fill="none" stroke="#c9190b" stroke-width="1.5" transform="translate(5 0)"/></g>
</defs>
`

// path is the way of an edge as an SVG path; between two points it leaves and arrives horizontally.
func (l layout) path(g Graph, i int) string {
	points := l.lines[i].points
	if len(points) == 0 {
		b := l.boxes[slices.Index(g.Nodes, g.Edges[i].From)]
		right, top := b.x+b.width-16, b.y-boxHeight/2
		return fmt.Sprintf("M%.1f %.1fc-4 -22 -36 -22 -40 0", right, top)
	}
	var b strings.Builder
	for k, p := range points {
		p.y += l.offset(i)
		if k == 0 {
			fmt.Fprintf(&b, "M%.1f %.1f", p.x, p.y)
			continue
		}
		last := point{points[k-1].x, points[k-1].y + l.offset(i)}
		middle := (last.x + p.x) / 2
		fmt.Fprintf(&b, "C%.1f %.1f %.1f %.1f %.1f %.1f", middle, last.y, middle, p.y, p.x, p.y)
	}
	return b.String()
}

// offset keeps calls in both directions apart.
func (l layout) offset(i int) float64 {
	if l.lines[i].forward {
		return -3
	}
	return 9
}

// labelAt is the middle of the edge's part beside the node that is called: many edges begin at one place, few end at one.
func (l layout) labelAt(g Graph, i int) point {
	points := l.lines[i].points
	if len(points) == 0 {
		b := l.boxes[slices.Index(g.Nodes, g.Edges[i].From)]
		return point{b.x + b.width - 36, b.y - boxHeight/2 - 20}
	}
	a, b := points[len(points)-2], points[len(points)-1]
	return point{(a.x + b.x) / 2, (a.y+b.y)/2 + l.offset(i)}
}

func writeLine(b *strings.Builder, e Edge, path string) {
	dash := ""
	if e.Requests == 0 {
		dash = ` stroke-dasharray="6 3"` // TCP
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" marker-end="url(#arrow)"%s/>`+"\n", path, e.color(), dash)
}

func writeBox(b *strings.Builder, n Node, at box) {
	radius, fill := 6, "#eef3fb"
	if n.Kind != KindWorkload {
		radius, fill = 18, "#f5f5f5"
	}
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="%d" fill="%s" stroke="#4a5568"/>`+"\n", at.x, at.y-boxHeight/2, at.width, boxHeight, radius, fill)
	middle := at.x + at.width/2
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="13" font-weight="bold">%s</text>`+"\n", middle, at.y-1, escapeXML(n.Name))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="11" fill="#4a5568">%s</text>`+"\n", middle, at.y+13, escapeXML(n.subtitle()))
}

// subtitle is the second line of a node's box.
func (n Node) subtitle() string {
	switch n.Kind {
	case KindUnknown:
		return "not in the mesh"
	case KindService:
		return strings.TrimSpace("service " + n.Namespace)
	}
	return n.Namespace
}

func writeLabel(b *strings.Builder, e Edge, at point) {
	lines := e.words()
	if symbol := map[padlock]string{locked: "locked", unlocked: "unlocked"}[e.security()]; symbol != "" {
		fmt.Fprintf(b, `<use href="#%s" x="%.1f" y="%.1f"/>`+"\n", symbol, at.x-float64(len(lines[0]))*2.9-16, at.y-13)
	}
	for i, text := range lines {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="11" stroke="#ffffff" stroke-width="3" paint-order="stroke">%s</text>`+"\n",
			at.x, at.y-3+float64(i)*13, escapeXML(text))
	}
}

func escapeXML(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(printable(text))
}
