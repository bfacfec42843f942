package agent

import (
	"bytes"
	"maps"
	"slices"
	"sync/atomic"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
)

// counters are the metrics of the agent. Their names have the prefix istio_, which the merger removes from applications. They
// are written with the encoder that the merger needs anyway: client_golang would add a tenth to the processor time of a start.
type counters struct {
	probes  counterFamily // by path of the agent
	scrapes counterFamily // by type: envoy or application
	streams counterFamily
}

// counterFamily has one counter for each value of its label. All of them are made before the agent serves.
type counterFamily struct {
	name, help, label string
	counters          map[string]*counter
}

type counter struct{ value atomic.Uint64 }

func newCounters() *counters {
	c := &counters{
		probes: counterFamily{
			name: "istio_agent_probe_failures_total", help: "Failed probes of the application, by path of the agent.", label: "path",
		},
		scrapes: counterFamily{
			name: "istio_agent_scrape_failures_total", help: "Failed scrapes of the metrics page of Envoy or of the application.", label: "type",
		},
		streams: counterFamily{
			name: "istio_agent_pilot_stream_failures_total", help: "Streams to pilot that failed to open or ended.",
		},
	}
	c.streams.with("") // its user is made after the agent serves
	return c
}

// with returns the counter for a value of the label; "" without a label. It is not safe to call while page runs.
func (f *counterFamily) with(value string) *counter {
	if f.counters == nil {
		f.counters = map[string]*counter{}
	}
	if f.counters[value] == nil {
		f.counters[value] = &counter{}
	}
	return f.counters[value]
}

func (c *counter) inc() { c.value.Add(1) }

// page returns the counters in the text format of Prometheus.
func (c *counters) page() ([]byte, error) {
	var out bytes.Buffer
	for _, f := range []*counterFamily{&c.streams, &c.probes, &c.scrapes} {
		if len(f.counters) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&out, f.model()); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (f *counterFamily) model() *dto.MetricFamily {
	out := &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: dto.MetricType_COUNTER.Enum()}
	for _, value := range slices.Sorted(maps.Keys(f.counters)) {
		m := &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(float64(f.counters[value].value.Load()))}}
		if f.label != "" {
			m.Label = []*dto.LabelPair{{Name: &f.label, Value: &value}}
		}
		out.Metric = append(out.Metric, m)
	}
	return out
}
