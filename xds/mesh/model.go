package mesh

import (
	"net/netip"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Settings is the part of the mesh configuration that the translation reads.
type Settings struct {
	TrustDomain      string
	RootNamespace    string
	MTLS             MTLSMode
	AllowAnyOutbound bool       // ALLOW_ANY: what the registry does not know is passed through; else it is refused
	Telemetry        *Telemetry // of proxies that no Telemetry object applies to
	Key              string

	providers providers
}

// Protocol is what is spoken on a port, as its appProtocol or name declares.
type Protocol string

// The protocols that are translated differently.
const (
	HTTP    Protocol = "http"
	HTTP2   Protocol = "http2" // and gRPC
	GRPCWeb Protocol = "grpc-web"
	AnyHTTP Protocol = "http/any" // of a workload's port that one Service port declares HTTP and another HTTP2: the caller's version
	TLS     Protocol = "tls"
	TCP     Protocol = "tcp"
)

// IsHTTP tells whether requests on the port can be routed one by one.
func (p Protocol) IsHTTP() bool { return p == HTTP || p == AnyHTTP || p.IsHTTP2() }

// IsHTTP2 tells whether the workload takes its requests in HTTP/2. One for gRPC-Web speaks gRPC: its proxy translates.
func (p Protocol) IsHTTP2() bool { return p == HTTP2 || p == GRPCWeb }

// MTLSMode is what a port admits.
type MTLSMode string

// The modes of PeerAuthentication.
const (
	Strict     MTLSMode = "STRICT"
	Permissive MTLSMode = "PERMISSIVE"
	Disable    MTLSMode = "DISABLE"
)

// Service is a host that proxies can call.
type Service struct {
	Object     resource.Object  // that it comes from
	Namespace  string           // of the object
	Name       string           // in telemetry
	Host       string           // its full name
	Kubernetes *KubernetesNames // of one that comes from a Kubernetes Service; nil: clients call it by Host alone
	Resolution Resolution
	Addresses  []string
	Ranges     []netip.Prefix // of addresses, beside these
	ExportTo   []string       // the namespaces that may call it; none: all
	Affinity   bool           // connections of one client address go to one endpoint
	Created    time.Time
	Ports      []*Port
	Key        string // without the endpoints, which change far more often

	sum string // with them
}

// Port is one port of a service with the endpoints behind it.
type Port struct {
	Name      string
	Number    uint32
	Protocol  Protocol
	Accounts  []string   // the identities that may serve it, as namespace/account; sorted
	AllMTLS   bool       // every endpoint accepts mutual TLS
	AnyMTLS   bool       // at least one does
	Endpoints []Endpoint // ready ones, sorted by address
	Key       string     // of the endpoints
}

// Endpoint is one address behind a port.
type Endpoint struct {
	Address    string // or a name, where the service's resolution is by DNS
	Port       uint32
	PodAddress bool // the address is that of a pod of the service's namespace; else the slice's author alone says so
	MTLS       bool // accepts the mesh's mutual TLS: the pod's proxy sees the port, and its policy allows it
	Account    string
	Labels     map[string]string
	Weight     uint32 // in relation to the others; 0: 1
	Workload   string // "name;namespace;canonical name;canonical revision;cluster", for telemetry
}

// InboundPort is a port that a service sends traffic to a workload on.
type InboundPort struct {
	Port        uint32 // of the workload
	ServicePort uint32
	Host        string
	Name        string // of the service, in telemetry
	Namespace   string // of the service
	Protocol    Protocol
	Mode        MTLSMode
	Sources     []resource.Object
}

// Exposed is a port of a Service that selects a workload: what clients dial and what the workload listens on.
type Exposed struct{ ServicePort, TargetPort uint32 }

// VirtualService is a VirtualService with its names resolved.
type VirtualService struct {
	Object       resource.Object
	Namespace    string
	Name         string
	Created      time.Time
	Hosts        []string                     // full names
	Gateways     []string                     // "mesh" or namespace/name
	Destinations []string                     // full names, each once
	Sources      map[string]map[string]string // the label selectors that it tests clients with, by SelectorKey
	Spec         *networking.VirtualService
	Key          string

	hosts      HostSet
	bytes      int // of the rules, for each host
	hostWeight int // that the hosts count as in the mesh

	destinationPorts []uint32 // that destinations name, each once
	openDestinations []string // full names of the destinations that name no port, each once
}

// DestinationRule is a DestinationRule with its host resolved.
type DestinationRule struct {
	Object    resource.Object
	Namespace string
	Name      string
	Created   time.Time
	Host      string
	Spec      *networking.DestinationRule
	Key       string
}

// Gateway is a Gateway object.
type Gateway struct {
	Object    resource.Object
	Namespace string
	Name      string
	Created   time.Time
	Spec      *networking.Gateway
	Hosts     []ServerHosts // by server
	Key       string
}

// PeerAuthentication is a PeerAuthentication object.
type PeerAuthentication struct {
	Object    resource.Object
	Namespace string
	Created   time.Time
	Spec      *security.PeerAuthentication
	Key       string
}

// Credential is what a gateway proves itself with, or verifies its peers with, from a Secret.
type Credential struct {
	Object      resource.Object
	Certificate []byte
	PrivateKey  []byte
	CA          []byte
	Revoked     []byte // lists of what the authorities have revoked
	Err         string // why it cannot be used; empty if it can
	Key         string
}
