package mesh

import (
	"iter"
	"slices"
	"time"

	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// TelemetryRule is a Telemetry object.
type TelemetryRule struct {
	Object    resource.Object
	Namespace string
	Created   time.Time
	Spec      *telemetry.Telemetry
	Key       string
}

func newTelemetryRule(o istioconfig.Object, spec *telemetry.Telemetry) *TelemetryRule {
	return &TelemetryRule{Object: objectOf(o), Namespace: o.Namespace, Created: o.Created, Spec: spec, Key: configKey(o)}
}

// Selector is the labels of the workloads that the object is for; none: all of its scope.
func (t *TelemetryRule) Selector() map[string]string { return t.Spec.GetSelector().GetMatchLabels() }

// telemetryFor returns what the proxy of a workload reports; nil if no Telemetry object applies to it. At most three do: the oldest
// without a selector of the root namespace and of the workload's, and the oldest of its namespace that selects the workload.
func (s *Snapshot) telemetryFor(namespace string, labels map[string]string) *Telemetry {
	var rules []*TelemetryRule
	root := s.Settings.RootNamespace
	add := func(candidates iter.Seq[*TelemetryRule]) {
		for t := range candidates {
			rules = append(rules, t)
			return
		}
	}
	add(s.TelemetryWithoutSelector(root))
	if namespace != root {
		add(s.TelemetryWithoutSelector(namespace))
	}
	add(s.TelemetrySelecting(namespace, labels))
	if len(rules) == 0 {
		return nil
	}
	return s.Settings.providers.merge(rules)
}

// TelemetryWithoutSelector lists the objects for a whole namespace or, in the root namespace, the mesh; the oldest first.
func (s *Snapshot) TelemetryWithoutSelector(namespace string) iter.Seq[*TelemetryRule] {
	return rulesWhere(s.index.telemetry.Get(namespace), func(t *TelemetryRule) bool { return len(t.Selector()) == 0 })
}

// TelemetrySelecting lists the objects whose selector the labels of a workload fulfil, the oldest first.
func (s *Snapshot) TelemetrySelecting(namespace string, labels map[string]string) iter.Seq[*TelemetryRule] {
	return rulesWhere(s.index.telemetry.Get(namespace), func(t *TelemetryRule) bool {
		return len(t.Selector()) > 0 && Selects(t.Selector(), labels)
	})
}

func rulesWhere(rules table.Table[*TelemetryRule], match func(*TelemetryRule) bool) iter.Seq[*TelemetryRule] {
	return func(yield func(*TelemetryRule) bool) {
		for t := range rules.Values() {
			if match(t) && !yield(t) {
				return
			}
		}
	}
}

// merge applies rules, from the widest scope to the narrowest, to the defaults.
func (p providers) merge(rules []*TelemetryRule) *Telemetry {
	t := Telemetry{Client: p.reports(rules, telemetry.WorkloadMode_CLIENT), Server: p.reports(rules, telemetry.WorkloadMode_SERVER)}
	for _, r := range rules {
		t.Objects = append(t.Objects, r.Object)
	}
	return t.withKey()
}

func (p providers) reports(rules []*TelemetryRule, side telemetry.WorkloadMode) Reports {
	r := Reports{Tracing: p.defaultTracing, Metrics: metrics(rules, side)}
	for provider, filter := range p.accessLogs(rules, side) {
		if log, ok := p.logs[provider]; ok {
			log.Filter = filter
			r.AccessLogs = append(r.AccessLogs, log)
		}
	}
	p.mergeTracing(&r, rules, side)
	r.sort()
	return r
}

// accessLogs returns the filters by provider. An entry without providers is about those of the entry before; the providers that the
// narrowest scope names are the only ones, whatever wider scopes say.
func (p providers) accessLogs(rules []*TelemetryRule, side telemetry.WorkloadMode) map[string]string {
	effective, configured := p.defaultLogs, false
	for _, r := range rules {
		var named []string
		for _, l := range r.Spec.GetAccessLogging() {
			configured = true
			named = append(named, namesOf(l.GetProviders())...)
		}
		if len(named) > 0 {
			effective = named
		}
	}
	filters := map[string]string{}
	if !configured {
		for _, name := range effective {
			filters[name] = ""
		}
		return filters
	}
	names := p.defaultLogs
	for _, r := range rules {
		for _, l := range r.Spec.GetAccessLogging() {
			if own := namesOf(l.GetProviders()); len(own) > 0 {
				names = own
			}
			if !isFor(l.GetMatch().GetMode(), side) {
				continue
			}
			for _, name := range names {
				if l.GetDisabled().GetValue() {
					delete(filters, name)
				} else if slices.Contains(effective, name) {
					filters[name] = l.GetFilter().GetExpression()
				}
			}
		}
	}
	return filters
}

func (p providers) mergeTracing(r *Reports, rules []*TelemetryRule, side telemetry.WorkloadMode) {
	disabled, sampling := false, (*float64)(nil)
	for _, rule := range rules {
		for _, t := range rule.Spec.GetTracing() {
			if !isFor(t.GetMatch().GetMode(), side) {
				continue
			}
			if names := namesOf(t.GetProviders()); len(names) > 0 {
				r.Tracing = p.tracing[names[0]]
			}
			if percent := t.GetRandomSamplingPercentage(); percent != nil {
				sampling = &percent.Value
			}
			if t.GetDisableSpanReporting() != nil {
				disabled = t.GetDisableSpanReporting().GetValue()
			}
			if t.GetCustomTags() != nil {
				r.SpanTags = spanTags(t.GetCustomTags())
			}
		}
	}
	if disabled || r.Tracing == nil {
		r.Tracing, r.SpanTags = nil, nil
	} else if sampling != nil {
		r.Tracing = r.Tracing.withSampling(*sampling)
	}
}

func spanTags(tags map[string]*telemetry.Tracing_CustomTag) []SpanTag {
	var list []SpanTag
	for name, tag := range tags {
		switch kind := tag.GetType().(type) {
		case *telemetry.Tracing_CustomTag_Literal:
			list = append(list, SpanTag{Name: name, From: FromLiteral, Value: kind.Literal.GetValue()})
		case *telemetry.Tracing_CustomTag_Header:
			list = append(list, SpanTag{name, FromHeader, kind.Header.GetName(), kind.Header.GetDefaultValue()})
		case *telemetry.Tracing_CustomTag_Environment:
			list = append(list, SpanTag{name, FromEnvironment, kind.Environment.GetName(), kind.Environment.GetDefaultValue()})
		}
	}
	return list
}

func isFor(mode, side telemetry.WorkloadMode) bool {
	return mode == telemetry.WorkloadMode_CLIENT_AND_SERVER || mode == side
}

func namesOf(refs []*telemetry.ProviderRef) []string {
	var names []string
	for _, ref := range refs {
		names = append(names, ref.GetName())
	}
	return names
}
