package envoy

import (
	"net/netip"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// applyOrigination uses TLS to a server outside the mesh. Every certificate comes through SDS, so a missing or invalid one
// fails this upstream and nothing else: Envoy rejects a cluster that names a missing file.
func (t target) applyOrigination(c *clusterv3.Cluster, tls *networking.ClientTLSSettings) {
	if tls.CredentialName != "" && !t.router {
		closeCluster(c)
		return
	}
	common := &tlsv3.CommonTlsContext{TlsParams: tlsVersions(), AlpnProtocols: originationALPN(t.port.Protocol)}
	if tls.Mode == networking.ClientTLSSettings_MUTUAL {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{pairSecret(tls)}
	}
	verify := !tls.GetInsecureSkipVerify().GetValue()
	sni := tls.Sni
	if sni == "" && !t.port.Protocol.IsHTTP() {
		sni = t.service.Host // no request names a host
	}
	if verify {
		names := peerNames(sni, tls.SubjectAltNames)
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names},
				ValidationContextSdsSecretConfig: authoritiesSecret(tls),
			},
		}
	}
	if sni == "" {
		useHostAsName(c, verify && len(tls.SubjectAltNames) == 0)
	}
	c.TransportSocket = upstreamSocket(&tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: common, MaxSessionKeys: noSessions()})
}

func originationALPN(p mesh.Protocol) []string {
	switch p {
	case mesh.HTTP2, mesh.GRPCWeb:
		return []string{"h2"}
	case mesh.HTTP:
		return []string{"http/1.1"}
	}
	return nil
}

// pairSecret is the client certificate and key: files of its own pod, or a Secret that pilot reads for a router.
func pairSecret(tls *networking.ClientTLSSettings) *tlsv3.SdsSecretConfig {
	if name := mesh.CredentialName(tls); name != "" {
		return briefly(pilotSecret(pairScheme + name))
	}
	return briefly(agentSecret(certfile.PairName(tls.ClientCertificate, tls.PrivateKey)))
}

// authoritiesSecret holds the authorities that verify the server, likewise; public ones by default.
func authoritiesSecret(tls *networking.ClientTLSSettings) *tlsv3.SdsSecretConfig {
	if name := mesh.CredentialName(tls); name != "" {
		return briefly(pilotSecret(authoritiesScheme + name))
	}
	return briefly(agentSecret(certfile.RootsName(tls.CaCertificates, tls.CaCrl)))
}

// briefly bounds the wait for a secret that a user provides: a cluster that waits for one keeps the others, and at its
// start the whole proxy, waiting. Without the secret its connections fail, until it arrives.
func briefly(secret *tlsv3.SdsSecretConfig) *tlsv3.SdsSecretConfig {
	secret.SdsConfig.InitialFetchTimeout = seconds(2)
	return secret
}

// peerNames matches the names that the server's certificate may have: those of the rule, else the SNI. It is nil when that is
// the host of each request.
func peerNames(sni string, listed []string) []*tlsv3.SubjectAltNameMatcher {
	if len(listed) == 0 && sni != "" {
		return namesOf(sni)[:1]
	}
	var list []*tlsv3.SubjectAltNameMatcher
	for _, name := range listed {
		list = append(list, namesOf(name)...)
	}
	return list
}

// namesOf matches one name in each kind of entry of a certificate that it may be in.
func namesOf(name string) []*tlsv3.SubjectAltNameMatcher {
	exact := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}}
	of := func(kind tlsv3.SubjectAltNameMatcher_SanType) *tlsv3.SubjectAltNameMatcher {
		return &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: exact}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return []*tlsv3.SubjectAltNameMatcher{of(tlsv3.SubjectAltNameMatcher_IP_ADDRESS)}
	}
	if strings.Contains(name, "@") && !strings.Contains(name, "/") {
		return []*tlsv3.SubjectAltNameMatcher{of(tlsv3.SubjectAltNameMatcher_EMAIL)}
	}
	return []*tlsv3.SubjectAltNameMatcher{dnsMatcher(exact), uriMatcher(exact)}
}

func useHostAsName(c *clusterv3.Cluster, verify bool) {
	options := &httpv3.HttpProtocolOptions{}
	if err := c.TypedExtensionProtocolOptions[httpProtocolOptions].UnmarshalTo(options); err != nil {
		panic(failure{"internal error: the cluster has no protocol options"})
	}
	options.UpstreamHttpProtocolOptions = &corev3.UpstreamHttpProtocolOptions{AutoSni: true, AutoSanValidation: verify}
	c.TypedExtensionProtocolOptions[httpProtocolOptions] = pack(options)
}

// closeCluster removes the endpoints of a cluster. A rule whose certificate is in a Secret is for routers: a sidecar has no right
// to the Secret, and must connect neither without the certificate nor in plaintext.
func closeCluster(c *clusterv3.Cluster) {
	c.ClusterDiscoveryType, c.EdsClusterConfig, c.LoadAssignment = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, nil, nil
	c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
}

// clientSecrets adds the Secrets that the rule for a service refers to, and reports why one cannot be used. The scope holds
// only those of the router's own namespace.
func (c *collector) clientSecrets(s *scope.Service) {
	for _, credential := range s.Credentials {
		if x := credential.Pair; credential.Mutual && c.usableBy(s.Rule, x, credential.Name, certificateAndKey) {
			c.addSecret(pairScheme+credential.Name, x, certificateSecret)
		}
		ca, of := credential.CA, credential.Name+mesh.CASuffix
		if ca == nil {
			ca, of = credential.Pair, credential.Name
		}
		if credential.Verify && c.usableBy(s.Rule, ca, of, authorities) {
			c.addSecret(authoritiesScheme+credential.Name, ca, validationSecret)
		}
	}
}

// usableBy tells whether a credential holds what a rule needs of it, and tells the rule's author if it does not.
func (c *collector) usableBy(rule *scope.Rule, x *mesh.Credential, name string, needed content) bool {
	reason := c.defect(x, name, needed)
	if reason == "" {
		return true
	}
	for _, o := range rule.Objects() {
		c.problems = append(c.problems, mesh.Problem{Object: o, Field: "tls.credentialName", Reason: reason})
	}
	return false
}
