package callgraph

import (
	"fmt"
	"strings"
	"unicode"
)

// String is the node's name for people, name.namespace. Workloads name themselves: what cannot be printed becomes "?".
func (n Node) String() string {
	name := n.Name
	if n.Namespace != "" {
		name += "." + n.Namespace
	}
	if n.Kind == KindService {
		name = "service " + name
	}
	return printable(name)
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// rate is the edge's traffic in words.
func (e Edge) rate() string {
	var parts []string
	if e.Requests > 0 || e.Connections == 0 {
		parts = append(parts, perSecond(e.Requests)+"/s")
	}
	if e.Connections > 0 {
		parts = append(parts, perSecond(e.Connections)+" conn/s")
	}
	return strings.Join(parts, ", ")
}

// perSecond is a rate with as many digits as show that it is not zero.
func perSecond(rate float64) string {
	if rate > 0 && rate < 0.05 {
		return fmt.Sprintf("%.2g", rate)
	}
	return fmt.Sprintf("%.1f", rate)
}

// errors is the share of requests that failed; empty without requests.
func (e Edge) errors() string {
	if e.Requests == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*e.errorShare())
}

func (e Edge) errorShare() float64 {
	if e.Requests == 0 {
		return 0
	}
	return e.Errors / e.Requests
}

// security is the edge's padlock.
func (e Edge) security() padlock {
	switch {
	case e.MutualTLS == nil:
		return noPadlock
	case *e.MutualTLS >= 1:
		return locked
	}
	return unlocked
}

type padlock int

const (
	noPadlock padlock = iota
	locked
	unlocked // at least a part came in plain text
)

// Duration is a number of milliseconds with its unit; "-" when there is none.
func Duration(ms *float64) string {
	switch {
	case ms == nil:
		return "-"
	case *ms >= 1000:
		return fmt.Sprintf("%.1f s", *ms/1000)
	}
	return fmt.Sprintf("%.1f ms", *ms)
}

// edgesFrom lists the edges of each node, in their order.
func (g Graph) edgesFrom() map[Node][]Edge {
	out := map[Node][]Edge{}
	for _, e := range g.Edges {
		out[e.From] = append(out[e.From], e)
	}
	return out
}
