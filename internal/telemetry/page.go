package telemetry

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

const (
	envoyPrefix = "envoy_" + StatPrefix + "_" // Envoy adds its own name to every metric
	prefix      = StatPrefix + "_"
	typeLine    = "# TYPE "
)

// Rewrite copies Envoy's metrics page in the text format of Prometheus. Metrics of the mesh get the names and labels of
// Istio's; own is the workload of the proxy. Metrics whose labels are the same after that are added up. All other metrics
// stay as they are. One metric family at a time is in memory.
func (own Own) Rewrite(w io.Writer, page io.Reader) error {
	in, out := bufio.NewReaderSize(page, 64<<10), bufio.NewWriterSize(w, 64<<10)
	r := rewriter{own: own, out: out}
	for {
		line, err := in.ReadString('\n')
		r.line(line)
		if err == io.EOF {
			r.flush()
			return out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

type rewriter struct {
	own    Own
	out    *bufio.Writer // remembers its first error
	family string        // as Envoy calls it; empty between families of the mesh
	kind   string        // counter, histogram
	parts  []part
	series []*series
	lookup map[string]*series // by label text

	lastTags string // of lastSeries: the lines of a histogram follow one another
	last     *series
}

// part is a line of a series: a counter has one, a histogram one per bucket, a sum and a count.
type part struct{ suffix, le string }

type series struct {
	labels string
	values []float64
	next   int // the part that comes next
}

func (r *rewriter) line(line string) {
	if rest, ok := strings.CutPrefix(line, typeLine+envoyPrefix); ok {
		r.flush()
		name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
		r.family, r.kind, r.lookup = envoyPrefix+name, kind, map[string]*series{}
		return
	}
	if rest, ok := strings.CutPrefix(line, r.family); ok && r.family != "" {
		r.sample(strings.TrimSpace(rest))
		return
	}
	r.flush()
	_, _ = r.out.WriteString(line)
}

// sample takes `_bucket{a="b",le="1"} 5` after the name of the family. A line that is none is left out.
func (r *rewriter) sample(text string) {
	suffix, rest, ok := strings.Cut(text, "{")
	i := strings.LastIndex(rest, "} ")
	if !ok || i < 0 {
		return
	}
	value, err := strconv.ParseFloat(rest[i+2:], 64)
	if err != nil {
		return
	}
	labels, le := rest[:i], ""
	if suffix == "_bucket" {
		if j := strings.LastIndex(labels, `,le="`); j >= 0 {
			labels, le = labels[:j], strings.TrimSuffix(labels[j+len(`,le="`):], `"`)
		}
	}
	r.of(labels).add(r, part{suffix, le}, value)
}

// of returns the series that a line of Envoy's belongs to. The first line of a series may begin one that is there already.
func (r *rewriter) of(text string) *series {
	if r.last != nil && r.lastTags == text {
		return r.last
	}
	labels := r.own.labels(parseTags(text))
	s := r.lookup[labels]
	if s == nil {
		s = &series{labels: labels}
		r.lookup[labels], r.series = s, append(r.series, s)
	}
	s.next, r.lastTags, r.last = 0, text, s
	return s
}

func (s *series) add(r *rewriter, p part, value float64) {
	if s.next == len(r.parts) {
		r.parts = append(r.parts, p)
	}
	if s.next == len(s.values) {
		s.values = append(s.values, 0)
	}
	s.values[s.next] += value
	s.next++
}

func (r *rewriter) flush() {
	if r.family == "" {
		return
	}
	name := prefix + strings.TrimPrefix(r.family, envoyPrefix)
	_, _ = r.out.WriteString(typeLine + name + " " + r.kind + "\n")
	for _, s := range r.series {
		for i, value := range s.values {
			_, _ = r.out.WriteString(name + r.parts[i].suffix + "{" + s.labels)
			if le := r.parts[i].le; le != "" {
				_, _ = r.out.WriteString(`,le="` + le + `"`)
			}
			_, _ = r.out.WriteString("} " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
		}
	}
	*r = rewriter{own: r.own, out: r.out}
}

// parseTags reads the labels of a line: name="value", with a comma between two.
func parseTags(text string) tags {
	t := tags{}
	for text != "" {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok {
			break
		}
		value, rest := cutValue(rest)
		t[name] = value
		text = strings.TrimPrefix(rest, ",")
	}
	return t
}

// cutValue returns a label's value without its escapes, and what follows its closing quote.
func cutValue(text string) (value, rest string) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return unescape.Replace(text[:i]), text[i+1:]
		}
	}
	return unescape.Replace(text), ""
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)
