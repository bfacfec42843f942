package agent

import (
	"path/filepath"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Clusters of the bootstrap; what pilot generates refers to the last two by name.
const (
	adminCluster = "prometheus_stats"
	agentCluster = "agent"
	xdsCluster   = "xds-grpc"
	sdsCluster   = "sds-grpc"
)

// XDSSocket is where Envoy asks for configuration.
func (c Config) XDSSocket() string { return filepath.Join(c.Dir, "XDS") }

// SDSSocket is where Envoy asks for the workload's certificate and roots.
func (c Config) SDSSocket() string { return filepath.Join(c.Dir, "SDS") }

// BootstrapFile is what Envoy is started with.
func (c Config) BootstrapFile() string { return filepath.Join(c.Dir, "envoy.json") }

// Bootstrap returns what Envoy knows before it has asked anybody: who it is, how to ask for the rest, how much it may
// take, and the two ports that answer without configuration.
func Bootstrap(c Config) *bootstrapv3.Bootstrap {
	return &bootstrapv3.Bootstrap{
		Node:            node(c),
		Admin:           &bootstrapv3.Admin{Address: socketAddress("127.0.0.1", c.Ports.Admin)},
		OverloadManager: overloadManager(c.MemoryLimit),
		LayeredRuntime:  runtimeLayers(),
		StatsConfig:     statsConfig(),
		// Most clusters are never called: their traffic counters come to be with the first request.
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{EnableDeferredCreationStats: true},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: adsConfig(),
			CdsConfig: overADS(),
			LdsConfig: overADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: []*listenerv3.Listener{metricsListener(c), healthListener(c)},
			Clusters: []*clusterv3.Cluster{
				loopbackCluster(adminCluster, c.Ports.Admin),
				loopbackCluster(agentCluster, c.Ports.Agent),
				socketCluster(xdsCluster, c.XDSSocket()),
				socketCluster(sdsCluster, c.SDSSocket()),
			},
		},
	}
}

// MarshalBootstrap returns the file that Envoy reads.
func MarshalBootstrap(b *bootstrapv3.Bootstrap) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
}

func node(c Config) *corev3.Node {
	domain := c.Namespace + ".svc.cluster.local"
	return &corev3.Node{
		Id:       strings.Join([]string{string(c.Role), c.IPs[0].String(), c.PodName + "." + c.Namespace, domain}, "~"),
		Cluster:  c.Workload + "." + c.Namespace,
		Locality: locality(c.Labels["istio-locality"]),
		Metadata: nodeMetadata(c),
	}
}

// nodeMetadata is for people who read dumps and for tools: pilot believes the certificate and the Pod object instead.
func nodeMetadata(c Config) *structpb.Struct {
	var ips []string
	for _, ip := range c.IPs {
		ips = append(ips, ip.String())
	}
	fields := map[string]*structpb.Value{}
	for name, value := range map[string]string{
		"NAMESPACE":       c.Namespace,
		"SERVICE_ACCOUNT": c.ServiceAccount,
		"WORKLOAD_NAME":   c.Workload,
		"OWNER":           c.Owner,
		"POD_NAME":        c.PodName,
		"NAME":            c.PodName,
		"INSTANCE_IPS":    strings.Join(ips, ","),
		"NODE_NAME":       c.NodeName,
		"CLUSTER_ID":      "Kubernetes",
		"ISTIO_VERSION":   version.Version,
		"ISTIO_REVISION":  c.Revision,
		"TRUST_DOMAIN":    c.TrustDomain,
	} {
		if value != "" {
			fields[name] = structpb.NewStringValue(value)
		}
	}
	labels := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, value := range c.Labels {
		labels.Fields[name] = structpb.NewStringValue(value)
	}
	fields["LABELS"] = structpb.NewStructValue(labels)
	return &structpb.Struct{Fields: fields}
}

// locality reads region.zone.subzone, or with slashes where a name has dots; nil: pilot knows the node's.
func locality(label string) *corev3.Locality {
	if label == "" {
		return nil
	}
	separator := "."
	if strings.Contains(label, "/") {
		separator = "/"
	}
	parts := append(strings.SplitN(label, separator, 3), "", "")
	return &corev3.Locality{Region: parts[0], Zone: parts[1], SubZone: parts[2]}
}

func adsConfig() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion:       corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: xdsCluster,
				// Envoy's default may wait 30 s: too long for a pod that starts while pilot does. Those that have a configuration
				// are spaced by the agent.
				RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
					BaseInterval: durationpb.New(500 * time.Millisecond),
					MaxInterval:  durationpb.New(5 * time.Second),
				}},
			}},
		}},
	}
}

// overADS waits without limit: a proxy that goes on without its configuration would be ready and refuse everything.
func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(0),
	}
}

func socketAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// typed packs an extension's configuration; none of ours can fail to marshal.
func typed(message proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(err)
	}
	return packed
}
