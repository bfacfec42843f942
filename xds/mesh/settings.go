package mesh

import meshv1alpha1 "istio.io/api/mesh/v1alpha1"

// Domain is the DNS domain of the cluster's services.
const Domain = "cluster.local"

func buildSettings(in Inputs) *Settings {
	c := in.MeshConfig
	s := &Settings{TrustDomain: c.GetTrustDomain(), RootNamespace: in.MeshNamespace, AccessLogFile: c.GetAccessLogFile()}
	if s.TrustDomain == "" {
		s.TrustDomain = Domain
	}
	if c.GetRootNamespace() != "" {
		s.RootNamespace = c.GetRootNamespace()
	}
	if s.MTLS = in.MTLS; s.MTLS == "" {
		s.MTLS = Strict
	}
	s.AllowAnyOutbound = c.GetOutboundTrafficPolicy().GetMode() == meshv1alpha1.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY
	s.Tracing = tracingOf(c, in.TrustClientTraces)
	h := NewHash().Add(s.TrustDomain, s.RootNamespace, s.AccessLogFile, string(s.MTLS)).Bool(s.AllowAnyOutbound)
	s.Tracing.addTo(h)
	s.Key = h.Key()
	return s
}
