package envoy

import (
	"fmt"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestEnvoyAccepts gives what each case generates to a real Envoy. Its validation looks at static resources only, so
// endpoints, routes and secrets are put where they would arrive.
func TestEnvoyAccepts(t *testing.T) {
	eachCase(t, func(t *testing.T, _ golden.Case, set *resource.Set) {
		envoytest.Validate(t, withoutSharedScopes(t, static(t, set)))
	})
}

// static is a bootstrap that holds a set.
func static(t *testing.T, set *resource.Set) *bootstrapv3.Bootstrap {
	t.Helper()
	s := &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{agent()}}
	for r := range set.Of(resource.Cluster).Values() {
		c := decode(t, r, &clusterv3.Cluster{})
		if c.GetType() == clusterv3.Cluster_EDS {
			a := &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
			if e, ok := set.Of(resource.Endpoint).Find(c.Name); ok {
				a = decode(t, e, a)
			}
			c.ClusterDiscoveryType, c.EdsClusterConfig, c.LoadAssignment = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, nil, a
		}
		fromAgent(t, c)
		s.Clusters = append(s.Clusters, c)
	}
	for r := range set.Of(resource.Listener).Values() {
		l := decode(t, r, &listenerv3.Listener{})
		eachChain(l, func(chain *listenerv3.FilterChain) {
			inlineRoutes(t, set, chain)
			inlineSecrets(t, chain)
		})
		s.Listeners = append(s.Listeners, l)
	}
	for r := range set.Of(resource.Secret).Values() {
		s.Secrets = append(s.Secrets, decode(t, r, &tlsv3.Secret{}))
	}
	return &bootstrapv3.Bootstrap{Node: &corev3.Node{Id: "test", Cluster: "test"}, StaticResources: s, LayeredRuntime: runtimeLayer(t)}
}

// runtimeLayer is the part of the agent's bootstrap that generated configuration relies on: without it Envoy refuses
// regular expressions longer than a hundred instructions.
func runtimeLayer(t *testing.T) *bootstrapv3.LayeredRuntime {
	t.Helper()
	layer, err := structpb.NewStruct(map[string]any{"re2.max_program_size.error_level": 32768})
	if err != nil {
		t.Fatal(err)
	}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "static", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: layer},
	}}}
}

func agent() *clusterv3.Cluster {
	pipe := &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/nowhere/SDS"}}}
	return &clusterv3.Cluster{
		Name: agentCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: agentCluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: pipe}}}},
		}}},
	}
}

func decode[M proto.Message](t *testing.T, r *resource.Resource, into M) M {
	t.Helper()
	if err := r.Body.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
	return into
}

func eachChain(l *listenerv3.Listener, visit func(*listenerv3.FilterChain)) {
	for _, chain := range l.FilterChains {
		visit(chain)
	}
	if l.DefaultFilterChain != nil {
		visit(l.DefaultFilterChain)
	}
}

// hcmOf finds the HTTP connection manager of a chain, or nil.
func hcmOf(t *testing.T, chain *listenerv3.FilterChain) (*hcmv3.HttpConnectionManager, *listenerv3.Filter) {
	t.Helper()
	for _, f := range chain.Filters {
		m := &hcmv3.HttpConnectionManager{}
		if f.GetTypedConfig().MessageIs(m) {
			if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
				t.Fatal(err)
			}
			return m, f
		}
	}
	return nil, nil
}

func inlineRoutes(t *testing.T, set *resource.Set, chain *listenerv3.FilterChain) {
	t.Helper()
	m, f := hcmOf(t, chain)
	if m == nil || m.GetRds() == nil {
		return
	}
	name := m.GetRds().GetRouteConfigName()
	r, ok := set.Of(resource.Route).Find(name)
	if !ok {
		t.Errorf("a listener asks for routes %s, which are not there", name)
		return
	}
	f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(withInline(m, decode(t, r, &routev3.RouteConfiguration{})))}
}

// fromAgent lets a cluster ask the agent for what it would ask pilot for, which a static bootstrap has not.
func fromAgent(t *testing.T, c *clusterv3.Cluster) {
	t.Helper()
	context := &tlsv3.UpstreamTlsContext{}
	if !unpackSocket(t, c.TransportSocket, context) {
		return
	}
	validation := context.CommonTlsContext.GetCombinedValidationContext().GetValidationContextSdsSecretConfig()
	for _, reference := range append(context.CommonTlsContext.TlsCertificateSdsSecretConfigs, validation) {
		if reference.GetSdsConfig().GetAds() != nil {
			reference.SdsConfig = agentSecret(reference.Name).SdsConfig
		}
	}
	c.TransportSocket = upstreamSocket(context)
}

// inlineSecrets makes references to the secrets of a set static. Those that the agent serves stay as they are.
func inlineSecrets(t *testing.T, chain *listenerv3.FilterChain) {
	t.Helper()
	if chain.TransportSocket == nil {
		return
	}
	context := &tlsv3.DownstreamTlsContext{}
	if err := chain.TransportSocket.GetTypedConfig().UnmarshalTo(context); err != nil {
		t.Fatal(err)
	}
	references := append(context.CommonTlsContext.TlsCertificateSdsSecretConfigs, context.CommonTlsContext.GetValidationContextSdsSecretConfig())
	for _, reference := range references {
		if reference.GetSdsConfig().GetAds() != nil {
			reference.SdsConfig = nil
		}
	}
	chain.TransportSocket = downstreamSocket(context)
}

// TestEveryConnectionManagerIsHardened looks at each one that any case generates.
func TestEveryConnectionManagerIsHardened(t *testing.T) {
	eachCase(t, func(t *testing.T, _ golden.Case, set *resource.Set) {
		for name, r := range set.Of(resource.Listener).All() {
			l := decode(t, r, &listenerv3.Listener{})
			eachChain(l, func(chain *listenerv3.FilterChain) {
				if m, _ := hcmOf(t, chain); m != nil {
					for _, weakness := range weaknesses(l, m) {
						t.Errorf("%s, chain %s: %s", name, chain.Name, weakness)
					}
				}
			})
		}
	})
}

// trustsNoAddress checks for one range that no client can have: without any range Envoy trusts every private address.
func trustsNoAddress(c *hcmv3.HttpConnectionManager_InternalAddressConfig) bool {
	r := c.GetCidrRanges()
	return len(r) == 1 && r[0].AddressPrefix == "0.0.0.0" && r[0].PrefixLen.GetValue() == 32 && !c.UnixSockets
}

// isWithin tells whether there is a limit, and none above most.
func isWithin(limit *wrapperspb.UInt32Value, most uint32) bool {
	return limit != nil && limit.Value <= most
}

func weaknesses(l *listenerv3.Listener, m *hcmv3.HttpConnectionManager) (found []string) {
	gateway := l.BindToPort == nil && l.Name != "virtualInbound"
	inbound := l.Name == "virtualInbound"
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"normalize_path", m.GetNormalizePath().GetValue()},
		{"merge_slashes", m.MergeSlashes},
		{"path_with_escaped_slashes_action", m.PathWithEscapedSlashesAction == hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT},
		{"strip_trailing_host_dot", m.StripTrailingHostDot},
		{"internal_address_config trusts nobody", trustsNoAddress(m.InternalAddressConfig)},
		{"server_name", m.ServerName == "istio-envoy"},
		{"websocket", len(m.UpgradeConfigs) == 1 && m.UpgradeConfigs[0].UpgradeType == "websocket"},
		{"use_remote_address only at the edge", m.GetUseRemoteAddress().GetValue() == gateway},
		{"SANITIZE_SET at the edge", !gateway || m.ForwardClientCertDetails == hcmv3.HttpConnectionManager_SANITIZE_SET},
		{"no certificate details are believed on plaintext", !inbound || m.ForwardClientCertDetails != hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY && m.ForwardClientCertDetails != hcmv3.HttpConnectionManager_FORWARD_ONLY},
		{"request_headers_timeout at the edge", !gateway || m.RequestHeadersTimeout.AsDuration() > 0},
		{"stream_idle_timeout at the edge", !gateway || m.StreamIdleTimeout.AsDuration() == 5*time.Minute},
		{"max_concurrent_streams at the edge", !gateway || isWithin(m.Http2ProtocolOptions.GetMaxConcurrentStreams(), 100)},
		{"header limits at the gateway", !gateway || m.MaxRequestHeadersKb.GetValue() == gatewayHeadersKiB && m.CommonHttpProtocolOptions.GetMaxHeadersCount().GetValue() == gatewayHeaders},
		{"unsupported upgrades are ignored", len(m.HttpProtocolOptions.GetIgnoreHttp_11Upgrade()) == 1},
		{"HTTP/1.0 only inside the mesh", m.HttpProtocolOptions.GetAcceptHttp_10() != gateway},
	} {
		if !check.ok {
			found = append(found, fmt.Sprintf("%s does not hold", check.what))
		}
	}
	return found
}
