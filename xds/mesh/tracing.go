package mesh

import (
	"fmt"
	"slices"
	"strconv"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// Tracing says which requests proxies report spans of, and where.
type Tracing struct {
	Provider string // its name; empty for the mesh's default
	Protocol TracingProtocol
	Host     string // of the collector: a DNS name or an IP address
	Port     uint32
	Sampling float64 // percent of the requests whose caller has not decided, 0 to 100
	// TrustClients lets the clients of gateways decide about sampling and continue traces of their own.
	TrustClients bool
}

// TracingProtocol is how spans are reported.
type TracingProtocol string

// The protocols of collectors.
const (
	Zipkin TracingProtocol = "zipkin" // POST /api/v2/spans, JSON
	OTLP   TracingProtocol = "otlp"   // opentelemetry.proto.collector.trace.v1.TraceService/Export over gRPC
)

// tracingOf reads the first default provider of the mesh configuration whose kind is supported.
func tracingOf(c *meshv1alpha1.MeshConfig, trustClients bool) *Tracing {
	if name := defaultTracing(c); name != "" {
		return tracingProviders(c, trustClients)[name]
	}
	return nil
}

// defaultTracing is the name of that provider; empty if there is none.
func defaultTracing(c *meshv1alpha1.MeshConfig) string {
	if !c.GetEnableTracing() {
		return ""
	}
	for _, p := range c.GetExtensionProviders() {
		if slices.Contains(c.GetDefaultProviders().GetTracing(), p.GetName()) && collectorOf(p) != nil {
			return p.GetName()
		}
	}
	return ""
}

// tracingProviders are those whose kind is supported, by name. Of two of one name the first counts.
func tracingProviders(c *meshv1alpha1.MeshConfig, trustClients bool) map[string]*Tracing {
	all, standard := map[string]*Tracing{}, defaultTracing(c)
	for _, p := range c.GetExtensionProviders() {
		t := collectorOf(p)
		if t == nil || all[p.GetName()] != nil {
			continue
		}
		t.Sampling, t.TrustClients = min(max(c.GetDefaultConfig().GetTracing().GetSampling(), 0), 100), trustClients
		if p.GetName() != standard {
			t.Provider = p.GetName()
		}
		all[p.GetName()] = t
	}
	return all
}

// collectorOf reads the protocol and address of a provider; nil if its kind is not supported.
func collectorOf(p *meshv1alpha1.MeshConfig_ExtensionProvider) *Tracing {
	switch {
	case p.GetZipkin() != nil:
		return &Tracing{Protocol: Zipkin, Host: p.GetZipkin().GetService(), Port: p.GetZipkin().GetPort()}
	case p.GetOpentelemetry() != nil && p.GetOpentelemetry().GetHttp() == nil:
		return &Tracing{Protocol: OTLP, Host: p.GetOpentelemetry().GetService(), Port: p.GetOpentelemetry().GetPort()}
	}
	return nil
}

func (t *Tracing) withSampling(percent float64) *Tracing {
	with := *t
	with.Sampling = percent
	return &with
}

// CheckTracing returns why proxies could not report spans as the configuration says, or nil.
func CheckTracing(c *meshv1alpha1.MeshConfig) error {
	if !c.GetEnableTracing() {
		return nil
	}
	t := tracingOf(c, false)
	switch {
	case t == nil:
		return fmt.Errorf("check tracing: defaultProviders.tracing names none of extensionProviders with zipkin or with opentelemetry over gRPC")
	case t.Host == "":
		return fmt.Errorf("check tracing: the provider's service is empty; write the collector's DNS name or address")
	case t.Port == 0 || t.Port > 65535:
		return fmt.Errorf("check tracing: the provider's port is %d; write 1 to 65535", t.Port)
	}
	return nil
}

func (t *Tracing) addTo(h Hash) {
	if t == nil {
		return
	}
	h.Add("tracing", t.Provider, string(t.Protocol), t.Host, strconv.FormatFloat(t.Sampling, 'g', -1, 64)).Uint(uint64(t.Port)).Bool(t.TrustClients)
}
