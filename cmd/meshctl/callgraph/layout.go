package callgraph

import (
	"math"
	"slices"
	"unicode/utf8"
)

// Sizes of the picture, in pixels.
const (
	boxHeight   = 40.0
	minBoxWidth = 90.0
	charWidth   = 8.4 // of the bold font of names, about
	rowGap      = 34.0
	layerGap    = 190.0 // holds the labels of edges
	margin      = 40.0  // also holds the call of a node to itself
	sweeps      = 8
)

// layout is where everything is. Nodes are in layers from left to right, callers left of what they call (after Sugiyama, Tagawa and
// Toda: Methods for Visual Understanding of Hierarchical System Structures, 1981).
type layout struct {
	boxes         []box // of each node
	lines         []line
	width, height float64
}

type box struct{ x, y, width float64 } // the left end and the middle

type point struct{ x, y float64 }

// line is the way of an edge; empty for a node that calls itself.
type line struct {
	points  []point
	forward bool // from left to right
}

// vertex is a node, or where an edge crosses a layer.
type vertex struct {
	node     int // -1: an edge
	layer    int
	up, down []int // neighbours in the layers beside
	y        float64
}

// drawing is the state of the steps of the layout.
type drawing struct {
	nodes    int
	from, to []int // of each edge
	reversed []bool
	vertices []vertex
	layers   [][]int // vertices from top to bottom
	paths    [][]int // vertices of each edge from left to right
}

func newLayout(g Graph) layout {
	d := newDrawing(g)
	d.breakCycles()
	d.assignLayers()
	d.addWaypoints()
	d.order()
	d.place()
	return d.layout(g)
}

func newDrawing(g Graph) *drawing {
	index := map[Node]int{}
	d := &drawing{nodes: len(g.Nodes), reversed: make([]bool, len(g.Edges)), paths: make([][]int, len(g.Edges))}
	for i, n := range g.Nodes {
		index[n] = i
		d.vertices = append(d.vertices, vertex{node: i})
	}
	for _, e := range g.Edges {
		d.from, d.to = append(d.from, index[e.From]), append(d.to, index[e.To])
	}
	return d
}

// breakCycles reverses the edges that lead back to a node on the way to it.
func (d *drawing) breakCycles() {
	called := make([]bool, d.nodes)
	for i := range d.from {
		called[d.to[i]] = called[d.to[i]] || d.from[i] != d.to[i]
	}
	state := make([]int, d.nodes) // 1: on the way, 2: done
	var visit func(int)
	visit = func(n int) {
		state[n] = 1
		for i := range d.from {
			switch {
			case d.from[i] != n || d.to[i] == n:
			case state[d.to[i]] == 1:
				d.reversed[i] = true
			case state[d.to[i]] == 0:
				visit(d.to[i])
			}
		}
		state[n] = 2
	}
	for _, start := range []bool{false, true} { // those that nobody calls first
		for n := range d.nodes {
			if state[n] == 0 && called[n] == start {
				visit(n)
			}
		}
	}
}

// ends returns an edge's left and right node.
func (d *drawing) ends(i int) (left, right int) {
	if d.reversed[i] {
		return d.to[i], d.from[i]
	}
	return d.from[i], d.to[i]
}

// assignLayers puts each node right of all its callers.
func (d *drawing) assignLayers() {
	for range d.nodes { // the longest way has fewer edges than there are nodes
		changed := false
		for i := range d.from {
			left, right := d.ends(i)
			if left != right && d.vertices[right].layer <= d.vertices[left].layer {
				d.vertices[right].layer, changed = d.vertices[left].layer+1, true
			}
		}
		if !changed {
			break
		}
	}
}

// addWaypoints gives an edge a vertex in each layer that it crosses, and lists the vertices of each layer.
func (d *drawing) addWaypoints() {
	for i := range d.from {
		left, right := d.ends(i)
		if left == right {
			continue
		}
		path := []int{left}
		for layer := d.vertices[left].layer + 1; layer < d.vertices[right].layer; layer++ {
			d.vertices = append(d.vertices, vertex{node: -1, layer: layer})
			path = append(path, len(d.vertices)-1)
		}
		d.paths[i] = append(path, right)
		for k := 1; k < len(d.paths[i]); k++ {
			a, b := d.paths[i][k-1], d.paths[i][k]
			d.vertices[a].down, d.vertices[b].up = append(d.vertices[a].down, b), append(d.vertices[b].up, a)
		}
	}
	for v := range d.vertices {
		for len(d.layers) <= d.vertices[v].layer {
			d.layers = append(d.layers, nil)
		}
		d.layers[d.vertices[v].layer] = append(d.layers[d.vertices[v].layer], v)
	}
}

// order sorts each layer by the middle of its neighbours, forth and back, and takes the order with the fewest crossings.
func (d *drawing) order() {
	best, fewest := d.copyLayers(), d.crossings()
	for sweep := range sweeps {
		forth := sweep%2 == 0
		for k := range d.layers {
			layer, neighbours := k, func(v *vertex) []int { return v.up }
			if !forth {
				layer, neighbours = len(d.layers)-1-k, func(v *vertex) []int { return v.down }
			}
			d.sortLayer(layer, neighbours)
		}
		if n := d.crossings(); n < fewest {
			best, fewest = d.copyLayers(), n
		}
	}
	d.layers = best
}

func (d *drawing) sortLayer(layer int, neighbours func(*vertex) []int) {
	position := d.positions()
	middle := map[int]float64{}
	for _, v := range d.layers[layer] {
		middle[v] = position[v]
		if around := neighbours(&d.vertices[v]); len(around) > 0 {
			sum := 0.0
			for _, u := range around {
				sum += position[u]
			}
			middle[v] = sum / float64(len(around))
		}
	}
	slices.SortStableFunc(d.layers[layer], func(a, b int) int {
		switch {
		case middle[a] < middle[b]:
			return -1
		case middle[a] > middle[b]:
			return 1
		}
		return 0
	})
}

func (d *drawing) positions() []float64 {
	position := make([]float64, len(d.vertices))
	for _, layer := range d.layers {
		for i, v := range layer {
			position[v] = float64(i)
		}
	}
	return position
}

func (d *drawing) copyLayers() [][]int {
	var out [][]int
	for _, layer := range d.layers {
		out = append(out, slices.Clone(layer))
	}
	return out
}

func (d *drawing) crossings() int {
	position, count := d.positions(), 0
	for _, layer := range d.layers {
		for i, a := range layer {
			for _, b := range layer[i+1:] {
				for _, u := range d.vertices[a].down {
					for _, w := range d.vertices[b].down {
						if position[w] < position[u] {
							count++
						}
					}
				}
			}
		}
	}
	return count
}

// place moves vertices towards the middle of their neighbours, in their order and with room between them.
func (d *drawing) place() {
	for _, layer := range d.layers {
		for i, v := range layer {
			d.vertices[v].y = float64(i) * (boxHeight + rowGap)
		}
	}
	for range sweeps {
		for k := range d.layers {
			d.alignLayer(d.layers[k])
		}
		for k := range d.layers {
			d.alignLayer(d.layers[len(d.layers)-1-k])
		}
	}
	top := math.Inf(1)
	for i := range d.vertices {
		top = min(top, d.vertices[i].y)
	}
	for i := range d.vertices {
		d.vertices[i].y += margin + boxHeight/2 - top
	}
}

// alignLayer places each vertex where its neighbours are, pushes it below the one above, and moves the layer back by what that has cost
// on average.
func (d *drawing) alignLayer(layer []int) {
	shift, last := 0.0, 0.0
	for i, v := range layer {
		vertex := &d.vertices[v]
		want, n := 0.0, 0
		for _, u := range slices.Concat(vertex.up, vertex.down) {
			want, n = want+d.vertices[u].y, n+1
		}
		if n == 0 {
			want, n = vertex.y, 1
		}
		want /= float64(n)
		y := want
		if i > 0 {
			y = max(y, last+boxHeight+rowGap)
		}
		shift += want - y
		vertex.y, last = y, y
	}
	for _, v := range layer {
		d.vertices[v].y += shift / float64(len(layer))
	}
}

// layout turns layers into places.
func (d *drawing) layout(g Graph) layout {
	out := layout{boxes: make([]box, d.nodes), lines: make([]line, len(g.Edges)), width: margin}
	left, width := make([]float64, len(d.layers)), make([]float64, len(d.layers))
	for k, layer := range d.layers {
		width[k] = minBoxWidth
		for _, v := range layer {
			if n := d.vertices[v].node; n >= 0 {
				width[k] = max(width[k], boxWidth(g.Nodes[n]))
			}
			out.height = max(out.height, d.vertices[v].y+boxHeight/2+margin)
		}
		left[k] = out.width
		out.width += width[k] + layerGap
	}
	out.width += margin - layerGap
	for i := range d.nodes {
		v := d.vertices[i]
		w := boxWidth(g.Nodes[i])
		out.boxes[i] = box{left[v.layer] + (width[v.layer]-w)/2, v.y, w}
	}
	for i, path := range d.paths {
		out.lines[i] = line{forward: !d.reversed[i]}
		for k, v := range path {
			vertex := d.vertices[v]
			start, end := left[vertex.layer], left[vertex.layer]+width[vertex.layer]
			if vertex.node >= 0 {
				start, end = out.boxes[vertex.node].x, out.boxes[vertex.node].x+out.boxes[vertex.node].width
			}
			if k > 0 {
				out.lines[i].points = append(out.lines[i].points, point{start, vertex.y})
			}
			if k < len(path)-1 {
				out.lines[i].points = append(out.lines[i].points, point{end, vertex.y})
			}
		}
		if d.reversed[i] {
			slices.Reverse(out.lines[i].points)
		}
	}
	return out
}

func boxWidth(n Node) float64 {
	letters := max(utf8.RuneCountInString(n.Name), utf8.RuneCountInString(n.subtitle()))
	return max(minBoxWidth, float64(letters)*charWidth+16)
}
