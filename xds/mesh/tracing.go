package mesh

import (
	"fmt"
	"slices"
	"strconv"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// Tracing says which requests proxies report spans of, and where.
type Tracing struct {
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
	if !c.GetEnableTracing() {
		return nil
	}
	t := &Tracing{Sampling: min(max(c.GetDefaultConfig().GetTracing().GetSampling(), 0), 100), TrustClients: trustClients}
	for _, p := range c.GetExtensionProviders() {
		if !slices.Contains(c.GetDefaultProviders().GetTracing(), p.GetName()) {
			continue
		}
		switch {
		case p.GetZipkin() != nil:
			t.Protocol, t.Host, t.Port = Zipkin, p.GetZipkin().GetService(), p.GetZipkin().GetPort()
		case p.GetOpentelemetry() != nil && p.GetOpentelemetry().GetHttp() == nil:
			t.Protocol, t.Host, t.Port = OTLP, p.GetOpentelemetry().GetService(), p.GetOpentelemetry().GetPort()
		default:
			continue
		}
		return t
	}
	return nil
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
	h.Add("tracing", string(t.Protocol), t.Host, strconv.FormatFloat(t.Sampling, 'g', -1, 64)).Uint(uint64(t.Port)).Bool(t.TrustClients)
}
