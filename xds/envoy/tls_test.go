package envoy

import (
	"fmt"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestEveryServerOfTLSIsHardened looks at each filter chain with TLS that any case generates. A session that is resumed
// keeps the verdict of older roots (CVE-2022-21654), and who asks for a certificate verifies it.
func TestEveryServerOfTLSIsHardened(t *testing.T) {
	seen := 0
	eachCase(t, func(t *testing.T, _ golden.Case, set *resource.Set) {
		for name, r := range set.Of(resource.Listener).All() {
			eachChain(decode(t, r, &listenerv3.Listener{}), func(chain *listenerv3.FilterChain) {
				context := &tlsv3.DownstreamTlsContext{}
				if !unpackSocket(t, chain.TransportSocket, context) {
					return
				}
				seen++
				for _, weakness := range serverWeaknesses(context) {
					t.Errorf("%s, chain %s: %s", name, chain.Name, weakness)
				}
				if chain.TransportSocketConnectTimeout.AsDuration() <= 0 {
					t.Errorf("%s, chain %s: a handshake may take for ever", name, chain.Name)
				}
			})
		}
	})
	if seen == 0 {
		t.Error("no case has a server of TLS")
	}
}

func serverWeaknesses(c *tlsv3.DownstreamTlsContext) []string {
	found := weakParameters(c.CommonTlsContext)
	if !c.RequireClientCertificate.GetValue() {
		return found
	}
	if !c.GetDisableStatelessSessionResumption() || !c.DisableStatefulSessionResumption {
		found = append(found, "sessions are resumed")
	}
	mesh := c.CommonTlsContext.GetCombinedValidationContext()
	switch outside := c.CommonTlsContext.GetValidationContextSdsSecretConfig(); {
	case mesh == nil && outside == nil:
		found = append(found, "a client certificate is asked for and not verified")
	case mesh != nil:
		found = append(found, weakMeshPeer(mesh)...)
	}
	return found
}

// TestEveryClientOfTLSVerifies looks at each cluster with TLS that any case generates: mutual TLS of the mesh is to named
// identities, other TLS to a certificate of a known authority with the name that is asked for (CVE-2021-32574).
func TestEveryClientOfTLSVerifies(t *testing.T) {
	seen := 0
	eachCase(t, func(t *testing.T, _ golden.Case, set *resource.Set) {
		for name, r := range set.Of(resource.Cluster).All() {
			c := decode(t, r, &clusterv3.Cluster{})
			for _, socket := range socketsOf(c) {
				context := &tlsv3.UpstreamTlsContext{}
				if !unpackSocket(t, socket, context) {
					continue
				}
				seen++
				for _, weakness := range clientWeaknesses(t, c, context) {
					t.Errorf("%s: %s", name, weakness)
				}
			}
		}
	})
	if seen == 0 {
		t.Error("no case has a client of TLS")
	}
}

func socketsOf(c *clusterv3.Cluster) []*corev3.TransportSocket {
	list := []*corev3.TransportSocket{c.TransportSocket}
	for _, m := range c.TransportSocketMatches {
		list = append(list, m.TransportSocket)
	}
	return list
}

func clientWeaknesses(t *testing.T, c *clusterv3.Cluster, context *tlsv3.UpstreamTlsContext) []string {
	t.Helper()
	found := weakParameters(context.CommonTlsContext)
	if context.MaxSessionKeys == nil || context.MaxSessionKeys.Value != 0 {
		found = append(found, "sessions are resumed")
	}
	for _, certificate := range context.CommonTlsContext.TlsCertificateSdsSecretConfigs {
		if certificate.Name == workloadSecret {
			return append(found, weakMeshPeer(context.CommonTlsContext.GetCombinedValidationContext())...)
		}
	}
	validation := context.CommonTlsContext.GetCombinedValidationContext()
	if context.CommonTlsContext.ValidationContextType == nil {
		return found // a rule says insecureSkipVerify
	}
	options := &httpv3.HttpProtocolOptions{}
	if packed := c.TypedExtensionProtocolOptions[httpProtocolOptions]; packed != nil {
		if err := packed.UnmarshalTo(options); err != nil {
			t.Fatal(err)
		}
	}
	if validation.GetValidationContextSdsSecretConfig().GetName() == "" {
		found = append(found, "no authorities")
	}
	names := validation.GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
	if len(names) == 0 && !options.GetUpstreamHttpProtocolOptions().GetAutoSanValidation() {
		found = append(found, "any name is accepted")
	}
	return found
}

func weakMeshPeer(c *tlsv3.CommonTlsContext_CombinedCertificateValidationContext) (found []string) {
	names := c.GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
	if len(names) == 0 {
		found = append(found, "any identity is accepted")
	}
	for _, name := range names {
		m := name.GetMatcher()
		if text := m.GetExact() + m.GetPrefix(); name.SanType != tlsv3.SubjectAltNameMatcher_URI || len(text) <= len("spiffe://") || text[len(text)-1] == '*' {
			found = append(found, fmt.Sprintf("identities are matched by %v", name))
		}
	}
	if c.GetValidationContextSdsSecretConfig().GetName() != rootsSecret {
		found = append(found, "not verified against the roots of the mesh")
	}
	if timeout := c.GetValidationContextSdsSecretConfig().GetSdsConfig().GetInitialFetchTimeout(); timeout == nil || timeout.AsDuration() != 0 {
		found = append(found, "does not wait for the roots")
	}
	return found
}

func weakParameters(c *tlsv3.CommonTlsContext) (found []string) {
	if c.GetTlsParams().GetTlsMinimumProtocolVersion() < tlsv3.TlsParameters_TLSv1_2 {
		found = append(found, "TLS below 1.2")
	}
	if len(c.GetTlsParams().GetCipherSuites()) == 0 {
		found = append(found, "any cipher")
	}
	return found
}

func unpackSocket(t *testing.T, s *corev3.TransportSocket, context tlsContext) bool {
	t.Helper()
	if !s.GetTypedConfig().MessageIs(context) {
		return false
	}
	if err := s.GetTypedConfig().UnmarshalTo(context); err != nil {
		t.Fatal(err)
	}
	return true
}
