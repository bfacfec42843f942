package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// traceAnswer is what Jaeger's query API answers GET /api/traces with
// (https://www.jaegertracing.io/docs/1.76/architecture/apis/#query-json-over-http).
type traceAnswer struct {
	Data []jaegerTrace `json:"data"`
}

type jaegerTrace struct {
	TraceID   string       `json:"traceID"`
	Spans     []jaegerSpan `json:"spans"`
	Processes map[string]struct {
		ServiceName string `json:"serviceName"`
	} `json:"processes"`
}

type jaegerSpan struct {
	SpanID        string `json:"spanID"`
	OperationName string `json:"operationName"`
	References    []struct {
		RefType string `json:"refType"`
		SpanID  string `json:"spanID"`
	} `json:"references"`
	StartTime int64 `json:"startTime"` // microseconds since 1970
	Duration  int64 `json:"duration"`  // microseconds
	Tags      []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
	ProcessID string `json:"processID"`
}

func (s *jaegerSpan) parent() string {
	for _, r := range s.References {
		if r.RefType == "CHILD_OF" {
			return r.SpanID
		}
	}
	return ""
}

func (s *jaegerSpan) tag(key string) string {
	for _, t := range s.Tags {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

// renderTraces draws traces, newest first.
func renderTraces(traces []jaegerTrace) string {
	traces = slices.Clone(traces)
	slices.SortStableFunc(traces, func(a, b jaegerTrace) int { return cmp.Compare(b.start(), a.start()) })
	var parts []string
	for _, t := range traces {
		parts = append(parts, renderTrace(t))
	}
	return strings.Join(parts, "\n")
}

func (t *jaegerTrace) start() int64 {
	if len(t.Spans) == 0 {
		return 0
	}
	return slices.MinFunc(t.Spans, func(a, b jaegerSpan) int { return cmp.Compare(a.StartTime, b.StartTime) }).StartTime
}

// traceDrawing is a trace being drawn. Every span is drawn once, whatever its references say.
type traceDrawing struct {
	trace    jaegerTrace
	children map[string][]*jaegerSpan // by the parent's id, in the order of their start; roots below ""
	slowest  map[*jaegerSpan]bool
	drawn    map[*jaegerSpan]bool
	out      strings.Builder
}

func renderTrace(t jaegerTrace) string {
	d := &traceDrawing{trace: t, children: map[string][]*jaegerSpan{}, slowest: map[*jaegerSpan]bool{}, drawn: map[*jaegerSpan]bool{}}
	ids := map[string]bool{}
	for _, s := range t.Spans {
		ids[s.SpanID] = true
	}
	end := t.start()
	for i := range t.Spans {
		s := &t.Spans[i]
		parent := s.parent()
		if !ids[parent] || parent == s.SpanID {
			parent = "" // it was not reported, or not yet
		}
		d.children[parent] = append(d.children[parent], s)
		end = max(end, s.StartTime+s.Duration)
	}
	for _, list := range d.children {
		slices.SortStableFunc(list, func(a, b *jaegerSpan) int {
			return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.SpanID, b.SpanID))
		})
	}
	d.markSlowest()
	fmt.Fprintf(&d.out, "trace %s  %s  %s  spans: %d\n", printable(t.TraceID), time.UnixMicro(t.start()).UTC().Format("2006-01-02 15:04:05 UTC"),
		milliseconds(end-t.start()), len(t.Spans))
	for _, root := range d.children[""] {
		d.draw(root, 0)
	}
	for i := range t.Spans { // of a circle, which no root leads to
		d.draw(&t.Spans[i], 0)
	}
	return d.out.String()
}

// markSlowest goes from the slowest root on to the slowest span below, as far as there is one.
func (d *traceDrawing) markSlowest() {
	for below := d.children[""]; len(below) > 0; {
		s := slices.MaxFunc(below, func(a, b *jaegerSpan) int { return cmp.Compare(a.Duration, b.Duration) })
		if d.slowest[s] {
			return
		}
		d.slowest[s] = true
		below = d.children[s.SpanID]
	}
}

func (d *traceDrawing) draw(s *jaegerSpan, depth int) {
	if d.drawn[s] {
		return
	}
	d.drawn[s] = true
	mark := " "
	if d.slowest[s] {
		mark = "*"
	}
	line := fmt.Sprintf("%s %11s  %s%s  %s", mark, milliseconds(s.Duration), strings.Repeat("  ", depth),
		d.trace.Processes[s.ProcessID].ServiceName, s.OperationName)
	if kind := s.tag("span.kind"); kind != "" {
		line += "  " + kind
	}
	if status := s.tag("http.status_code"); status != "" {
		line += "  " + status
	}
	if flags := s.tag("response_flags"); flags != "" && flags != "-" {
		line += "  " + flags
	}
	d.out.WriteString(printable(line) + "\n")
	for _, child := range d.children[s.SpanID] {
		d.draw(child, depth+1)
	}
}

func milliseconds(us int64) string { return fmt.Sprintf("%.2f ms", float64(us)/1000) }

// printable replaces what could control the terminal: spans hold what clients of workloads have sent.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
