package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// applyTLS sets how connections of a cluster are secured. When no rule says it, each endpoint that can do the mesh's
// mutual TLS gets it.
func (t target) applyTLS(c *clusterv3.Cluster, tls *networking.ClientTLSSettings) {
	switch {
	case tls == nil:
		t.applyAutomaticTLS(c)
	case tls.Mode == networking.ClientTLSSettings_DISABLE:
	case tls.Mode == networking.ClientTLSSettings_ISTIO_MUTUAL:
		c.TransportSocket = t.meshSocket()
	case tls.Mode == networking.ClientTLSSettings_SIMPLE, tls.Mode == networking.ClientTLSSettings_MUTUAL:
		t.applyOrigination(c, tls)
	default: // an unknown mode must not mean plaintext
		panic(failure{"trafficPolicy.tls.mode " + tls.Mode.String() + " is not supported"})
	}
}

// applyAutomaticTLS lets the metadata of each endpoint choose. A cluster that connects where the client says has no
// endpoints to look at: it is secured when one of the service's is, and the others have a cluster of their own.
func (t target) applyAutomaticTLS(c *clusterv3.Cluster) {
	if t.original() {
		if t.port.AnyMTLS && t.suffix == "" {
			c.TransportSocket = t.meshSocket()
		}
		return
	}
	if len(t.port.Accounts) == 0 && !t.port.AnyMTLS {
		return // no pod behind it: nothing that could have an identity
	}
	c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: tlsModeIstio(), TransportSocket: t.meshSocket()},
		{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: rawSocket()},
	}
}

// tlsModeIstio is what endpoints that can do mutual TLS carry.
func tlsModeIstio() *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"tlsMode": structpb.NewStringValue("istio")}}
}

func rawSocket() *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.raw_buffer", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&rawv3.RawBuffer{})},
	}
}

// meshSocket is mutual TLS with the workload's own certificate, to exactly the identities that the service has.
func (t target) meshSocket() *corev3.TransportSocket {
	return upstreamSocket(&tlsv3.UpstreamTlsContext{
		Sni:            sniName(t.port.Number, t.subset.GetName(), t.service.Host),
		MaxSessionKeys: noSessions(),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:                  meshALPN(t.port.Protocol),
			TlsParams:                      tlsVersions(),
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{agentSecret(workloadSecret)},
			ValidationContextType:          meshValidation(t.servers()),
		},
	})
}

// servers matches the identities of the service's pods. Before the first pod exists, any identity of the namespace matches:
// a Service selects no other pods.
func (t target) servers() []*tlsv3.SubjectAltNameMatcher {
	var list []*tlsv3.SubjectAltNameMatcher
	for _, account := range t.port.Accounts {
		list = append(list, uriMatcher(&matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: spiffeID(t.trustDomain, account)},
		}))
	}
	if len(list) == 0 {
		list = append(list, uriMatcher(&matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: spiffeID(t.trustDomain, t.service.Namespace+"/")},
		}))
	}
	return list
}

// meshALPN tells the server which of a port's filter chains to take. The first name is a marker that no server
// negotiates; a cluster that speaks only HTTP/2 offers that as well.
func meshALPN(p mesh.Protocol) []string {
	switch p {
	case mesh.HTTP:
		return []string{"istio-http/1.1", "istio", "http/1.1"}
	case mesh.HTTP2, mesh.GRPCWeb:
		return []string{"istio-h2", "istio", "h2"}
	}
	return []string{"istio"}
}

func upstreamSocket(context *tlsv3.UpstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)},
	}
}
