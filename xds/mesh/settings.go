package mesh

import meshv1alpha1 "istio.io/api/mesh/v1alpha1"

// Domain is the DNS domain of the cluster's services.
const Domain = "cluster.local"

func buildSettings(in Inputs) *Settings {
	c := in.MeshConfig
	s := &Settings{TrustDomain: c.GetTrustDomain(), RootNamespace: in.MeshNamespace}
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
	s.providers = providersOf(c, s.RootNamespace, in.TrustClientTraces)
	s.Telemetry = s.providers.merge(nil)
	h := NewHash().Add(s.TrustDomain, s.RootNamespace, string(s.MTLS), s.Telemetry.Key).Bool(s.AllowAnyOutbound)
	s.providers.addTo(h)
	s.Key = h.Key()
	return s
}
