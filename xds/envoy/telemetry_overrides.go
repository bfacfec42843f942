package envoy

import (
	"slices"

	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// overrideMetric changes one metric of a logger. The labels of the mesh are packed into few tags, so the agent takes out what is
// removed; see telemetry.Own.Rewrite.
func overrideMetric(c *statsv3.Config, o mesh.Metric) {
	if o.Disabled {
		c.Counters = slices.DeleteFunc(c.Counters, func(m *statsv3.Config_Counter) bool { return m.Stat.Name == o.Name })
		c.Histograms = slices.DeleteFunc(c.Histograms, func(m *statsv3.Config_Histogram) bool { return m.Stat.Name == o.Name })
		return
	}
	var stats []*statsv3.Config_Stat
	for _, m := range c.Counters {
		stats = append(stats, m.Stat)
	}
	for _, m := range c.Histograms {
		stats = append(stats, m.Stat)
	}
	for _, s := range stats {
		if s.Name == o.Name {
			s.Tags = withTags(s.Tags, overrideTags(o)...)
		}
	}
}

func overrideTags(o mesh.Metric) []*statsv3.Config_Tag {
	var tags []*statsv3.Config_Tag
	if len(o.Removed) > 0 {
		tags = append(tags, tag(telemetry.TagRemoved, telemetry.Removed(o.Removed)))
	}
	for _, l := range o.Added {
		format := l.Value
		if !l.Text {
			format = "%CEL(" + l.Value + ")%"
		}
		tags = append(tags, tag(telemetry.TagAdded+l.Name, format))
	}
	return tags
}
