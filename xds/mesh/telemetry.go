package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Telemetry is what a proxy reports of the requests and connections that it forwards.
type Telemetry struct {
	Client  Reports           // of a sidecar's outgoing traffic, and of all traffic of a gateway
	Server  Reports           // of a sidecar's incoming traffic
	Objects []resource.Object // the Telemetry objects that apply, from the widest to the narrowest; none: the mesh's defaults
	Key     string
}

// Reports is what a proxy reports of one side.
type Reports struct {
	AccessLogs []AccessLog // by provider
	Tracing    *Tracing    // nil: no spans
	SpanTags   []SpanTag   // besides those that every span has; by name
	Metrics    []Metric    // that differ from the standard; by name
}

// Metric is what of one of Istio's metrics differs from the standard.
type Metric struct {
	Name     string // without the prefix, such as requests_total
	Disabled bool
	Removed  []string      // labels; sorted
	Added    []MetricLabel // by name
}

// MetricLabel is a label that Istio's metrics do not have. Value is an expression in CEL, or a text.
type MetricLabel struct {
	Name, Value string
	Text        bool
}

// AccessLog is where a proxy writes an entry for each request and connection, and of which.
type AccessLog struct {
	Provider  string
	Path      string     // of the file
	JSON      bool       // the file's format, else text
	Collector *Collector // instead of a file; takes OTLP over gRPC
	Filter    string     // an expression in CEL, true for what is logged; empty: everything
}

// Collector is a server that entries are sent to.
type Collector struct {
	Host    string // a DNS name or an IP address
	Port    uint32
	Account string // namespace/name of its account, for the mesh's mutual TLS; empty: plain text
}

// SpanTag is a tag that each span gets.
type SpanTag struct {
	Name    string
	From    TagSource
	Value   string // the tag's own, or the name of the header or variable that holds it
	Default string // where that is missing; empty: no tag
}

// TagSource is where the value of a tag comes from.
type TagSource string

// The sources of tags.
const (
	FromLiteral     TagSource = "literal"
	FromHeader      TagSource = "header"      // of the request
	FromEnvironment TagSource = "environment" // of the proxy
)

// The access log providers that every mesh has. EnvoyProvider writes in the format of the mesh.
const (
	EnvoyProvider     = "envoy"
	EnvoyJSONProvider = "envoy-json"
)

// TelemetryProvider is the mesh's own istio-telemetry, if the mesh configuration has an access log provider of this name.
const TelemetryProvider = "istio-telemetry"

// telemetryAccount is what istio-telemetry runs as, in the root namespace.
const telemetryAccount = "istio-telemetry-service-account"

const stdout = "/dev/stdout"

// providers is what Telemetry objects can refer to by name, and what holds without any.
type providers struct {
	logs           map[string]AccessLog
	defaultLogs    []string
	tracing        map[string]*Tracing
	defaultTracing *Tracing // nil: spans are reported only where a Telemetry object names a provider
}

func providersOf(c *meshv1alpha1.MeshConfig, rootNamespace string, trustClientTraces bool) providers {
	path := cmp.Or(c.GetAccessLogFile(), stdout)
	p := providers{
		logs: map[string]AccessLog{
			EnvoyProvider:     {Provider: EnvoyProvider, Path: path, JSON: c.GetAccessLogEncoding() == meshv1alpha1.MeshConfig_JSON},
			EnvoyJSONProvider: {Provider: EnvoyJSONProvider, Path: path, JSON: true},
		},
		defaultLogs:    c.GetDefaultProviders().GetAccessLogging(),
		tracing:        tracingProviders(c, trustClientTraces),
		defaultTracing: tracingOf(c, trustClientTraces),
	}
	for _, e := range c.GetExtensionProviders() {
		if _, taken := p.logs[e.GetName()]; taken || e.GetEnvoyOtelAls() == nil {
			continue
		}
		collector := &Collector{Host: e.GetEnvoyOtelAls().GetService(), Port: e.GetEnvoyOtelAls().GetPort()}
		if e.GetName() == TelemetryProvider {
			collector.Account = rootNamespace + "/" + telemetryAccount
		}
		p.logs[e.GetName()] = AccessLog{Provider: e.GetName(), Collector: collector}
	}
	if len(p.defaultLogs) == 0 && c.GetAccessLogFile() != "" {
		p.defaultLogs = []string{EnvoyProvider}
	}
	return p
}

func (p providers) addTo(h Hash) {
	h.List(p.defaultLogs)
	for _, name := range slices.Sorted(maps.Keys(p.logs)) {
		p.logs[name].addTo(h)
	}
	for _, name := range slices.Sorted(maps.Keys(p.tracing)) {
		p.tracing[name].addTo(h.Add(name))
	}
}

func (l AccessLog) addTo(h Hash) {
	h.Add(l.Provider, l.Path, l.Filter).Bool(l.JSON).Bool(l.Collector != nil)
	if l.Collector != nil {
		h.Add(l.Collector.Host, l.Collector.Account).Uint(uint64(l.Collector.Port))
	}
}

// CheckAccessLogs returns why proxies could not log as the configuration says, or nil.
func CheckAccessLogs(c *meshv1alpha1.MeshConfig) error {
	p := providersOf(c, "", false)
	for _, name := range p.defaultLogs {
		l, ok := p.logs[name]
		switch {
		case !ok:
			return fmt.Errorf("check access logs: defaultProviders.accessLogging names %s, which is none of extensionProviders with envoyOtelAls", name)
		case l.Collector != nil && l.Collector.Host == "":
			return fmt.Errorf("check access logs: the service of provider %s is empty; write the collector's DNS name or address", name)
		case l.Collector != nil && (l.Collector.Port == 0 || l.Collector.Port > 65535):
			return fmt.Errorf("check access logs: the port of provider %s is %d; write 1 to 65535", name, l.Collector.Port)
		}
	}
	return nil
}

// withKey sets the key.
func (t Telemetry) withKey() *Telemetry {
	h := NewHash()
	for _, r := range []Reports{t.Client, t.Server} {
		h.Uint(uint64(len(r.AccessLogs)))
		for _, l := range r.AccessLogs {
			l.addTo(h)
		}
		r.Tracing.addTo(h.Bool(r.Tracing != nil))
		h.Uint(uint64(len(r.SpanTags)))
		for _, tag := range r.SpanTags {
			h.Add(tag.Name, string(tag.From), tag.Value, tag.Default)
		}
		h.Uint(uint64(len(r.Metrics)))
		for _, m := range r.Metrics {
			h.Add(m.Name).Bool(m.Disabled).List(m.Removed).Uint(uint64(len(m.Added)))
			for _, l := range m.Added {
				h.Add(l.Name, l.Value).Bool(l.Text)
			}
		}
	}
	h.Uint(uint64(len(t.Objects)))
	for _, o := range t.Objects {
		h.Add(string(o))
	}
	t.Key = h.Key()
	return &t
}

func (r *Reports) sort() {
	slices.SortFunc(r.AccessLogs, func(a, b AccessLog) int { return strings.Compare(a.Provider, b.Provider) })
	slices.SortFunc(r.SpanTags, func(a, b SpanTag) int { return strings.Compare(a.Name, b.Name) })
}
