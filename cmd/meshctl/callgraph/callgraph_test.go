package callgraph

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestGraph draws the series of a case, written as metrics requests, connections, p50 and p99.
func TestGraph(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		g := Build(metricsOf(t, c.Files["metrics.prom"]))
		if namespace := strings.TrimSpace(string(c.Files["namespace"])); namespace != "" {
			g = g.InNamespace(namespace)
		}
		encoded, err := json.MarshalIndent(g, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		checkXML(t, g.SVG())
		return map[string]string{"want.txt": g.Tree(), "want.dot": g.Dot(), "want.svg": g.SVG(), "want.json": string(encoded)}
	})
}

func metricsOf(t *testing.T, text []byte) Metrics {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	samples := func(name string) (out []Sample) {
		for _, m := range families[name].GetMetric() {
			out = append(out, Sample{labelsOf(m), m.GetUntyped().GetValue()})
		}
		return out
	}
	return Metrics{Requests: samples("requests"), Connections: samples("connections"), P50: samples("p50"), P99: samples("p99")}
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

func checkXML(t *testing.T, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLayoutHasNoOverlaps checks boxes of graphs of each shape: chains, fans, circles, and edges over several layers.
func TestLayoutHasNoOverlaps(t *testing.T) {
	for name, calls := range map[string]string{
		"chain":      "a>b b>c c>d",
		"fan":        "a>b a>c a>d b>e c>e d>e",
		"circle":     "a>b b>c c>a",
		"both ways":  "a>b b>a",
		"long edges": "a>b b>c c>d a>d a>c b>d",
		"itself":     "a>a a>b",
		"two parts":  "a>b c>d c>c",
	} {
		g := Build(callsOf(calls))
		l := newLayout(g)
		for i, a := range l.boxes {
			if a.x < 0 || a.x+a.width > l.width || a.y-boxHeight/2 < 0 || a.y+boxHeight/2 > l.height {
				t.Errorf("%s: %s is outside of the picture: %+v of %.0fx%.0f", name, g.Nodes[i], a, l.width, l.height)
			}
			for k, b := range l.boxes[:i] {
				if a.x < b.x+b.width && b.x < a.x+a.width && a.y < b.y+boxHeight && b.y < a.y+boxHeight {
					t.Errorf("%s: %s and %s overlap", name, g.Nodes[i], g.Nodes[k])
				}
			}
		}
	}
}

func callsOf(text string) (m Metrics) {
	for _, call := range strings.Fields(text) {
		from, to, _ := strings.Cut(call, ">")
		m.Requests = append(m.Requests, Sample{map[string]string{"reporter": "source", "source_workload": from, "destination_workload": to}, 1})
	}
	return m
}
