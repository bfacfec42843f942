package istioconfig

import (
	"slices"

	"google.golang.org/protobuf/proto"
	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingbeta "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is a kind of Istio's configuration.
type Kind string

// The kinds that pilot enforces, as they are spelled in an object's kind field.
const (
	VirtualService     Kind = "VirtualService"
	DestinationRule    Kind = "DestinationRule"
	Gateway            Kind = "Gateway"
	PeerAuthentication Kind = "PeerAuthentication"
	Telemetry          Kind = "Telemetry"
	ServiceEntry       Kind = "ServiceEntry"
)

// definition is the row of a kind. The kind's CustomResourceDefinition, its rules in galley's webhook, in the admission policy
// for unenforced kinds and in pilot's ClusterRole are generated from it or checked against it.
type definition struct {
	kind            Kind
	group, resource string
	versions        []string // served; the first one is stored
	spec            func() proto.Message
	rewrite         func(*rewriter, object)       // replaces old spellings, and brings hosts into one form; may be nil
	validate        func(*checker, proto.Message) // nil: pilot does not enforce the kind, so objects of it are refused
	warn            func(*checker, proto.Message) // may be nil
	unreadable      *Unreadable                   // of a kind that fails closed
	alternative     string                        // of a kind that is not enforced: what its author can do
}

const (
	networkingGroup = "networking.istio.io"
	securityGroup   = "security.istio.io"
)

var (
	threeVersions = []string{"v1", "v1beta1", "v1alpha3"}
	twoVersions   = []string{"v1", "v1beta1"}
)

// definitions is the table of kinds. Clients such as Kiali list all of Istio's kinds and do not start without their definitions.
var definitions = []definition{
	{
		kind: VirtualService, group: networkingGroup, resource: "virtualservices", versions: threeVersions,
		spec:     func() proto.Message { return &networking.VirtualService{} },
		rewrite:  (*rewriter).virtualService,
		validate: typed((*checker).virtualService), warn: typed((*checker).routeWarnings),
	},
	{
		kind: DestinationRule, group: networkingGroup, resource: "destinationrules", versions: threeVersions,
		spec:     func() proto.Message { return &networking.DestinationRule{} },
		rewrite:  (*rewriter).destinationRule,
		validate: typed((*checker).destinationRule), warn: typed((*checker).destinationRuleWarnings),
	},
	{
		kind: Gateway, group: networkingGroup, resource: "gateways", versions: threeVersions,
		spec:     func() proto.Message { return &networking.Gateway{} },
		rewrite:  (*rewriter).gateway,
		validate: typed((*checker).gateway),
	},
	{
		kind: PeerAuthentication, group: securityGroup, resource: "peerauthentications", versions: twoVersions,
		spec:     func() proto.Message { return &security.PeerAuthentication{} },
		validate: typed((*checker).peerAuthentication),
		unreadable: &Unreadable{
			Spec:   &security.PeerAuthentication{Mtls: &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_STRICT}},
			Effect: "STRICT for its namespace",
		},
	},
	{
		kind: Telemetry, group: "telemetry.istio.io", resource: "telemetries", versions: []string{"v1", "v1alpha1"},
		spec:     func() proto.Message { return &telemetry.Telemetry{} },
		validate: typed((*checker).telemetry),
	},
	{
		kind: ServiceEntry, group: networkingGroup, resource: "serviceentries", versions: threeVersions,
		spec:     func() proto.Message { return &networking.ServiceEntry{} },
		rewrite:  (*rewriter).serviceEntry,
		validate: typed((*checker).serviceEntry), warn: typed((*checker).serviceEntryWarnings),
	},
	{
		kind: "Sidecar", group: networkingGroup, resource: "sidecars", versions: threeVersions,
		spec:        func() proto.Message { return &networking.Sidecar{} },
		alternative: "limit who sees a Service with its annotation networking.istio.io/exportTo, and a rule with spec.exportTo",
	},
	{
		kind: "WorkloadEntry", group: networkingGroup, resource: "workloadentries", versions: threeVersions,
		spec:        func() proto.Message { return &networking.WorkloadEntry{} },
		alternative: "use a Service without a selector and an EndpointSlice with the address",
	},
	{
		kind: "WorkloadGroup", group: networkingGroup, resource: "workloadgroups", versions: threeVersions,
		spec:        func() proto.Message { return &networking.WorkloadGroup{} },
		alternative: "run the workload in pods, with a Deployment",
	},
	{
		kind: "EnvoyFilter", group: networkingGroup, resource: "envoyfilters", versions: []string{"v1alpha3"},
		spec:        func() proto.Message { return &networking.EnvoyFilter{} },
		alternative: "use the fields of VirtualService and DestinationRule",
	},
	{
		kind: "ProxyConfig", group: networkingGroup, resource: "proxyconfigs", versions: []string{"v1beta1"},
		spec:        func() proto.Message { return &networkingbeta.ProxyConfig{} },
		alternative: "use the annotation proxy.istio.io/config of the pod",
	},
	{
		kind: "AuthorizationPolicy", group: securityGroup, resource: "authorizationpolicies", versions: twoVersions,
		spec:        func() proto.Message { return &security.AuthorizationPolicy{} },
		alternative: "limit who connects with a NetworkPolicy, and require mutual TLS with a PeerAuthentication",
	},
	{
		kind: "RequestAuthentication", group: securityGroup, resource: "requestauthentications", versions: twoVersions,
		spec:        func() proto.Message { return &security.RequestAuthentication{} },
		alternative: "verify tokens in the application",
	},
	{
		kind: "WasmPlugin", group: "extensions.istio.io", resource: "wasmplugins", versions: []string{"v1alpha1"},
		spec:        func() proto.Message { return &extensions.WasmPlugin{} },
		alternative: "implement it in the application",
	},
}

// Unreadable is what holds in the place of an object that cannot be decoded. It must not be modified.
type Unreadable struct {
	Spec   proto.Message
	Effect string // in words, for the log
}

// Unreadable returns what holds in the place of an object of the kind that cannot be decoded; nil: nothing does.
func (k Kind) Unreadable() *Unreadable {
	d, _ := definitionOf(k)
	return d.unreadable
}

// FailsClosed tells whether to ignore an object of the kind would admit what it forbids. An invalid one then has the effect that it
// can have, and one that cannot be decoded that of Unreadable.
func (k Kind) FailsClosed() bool { return k.Unreadable() != nil }

// typed adapts a check of one message type to the table.
func typed[S proto.Message](check func(*checker, S)) func(*checker, proto.Message) {
	return func(c *checker, spec proto.Message) {
		if s, ok := spec.(S); ok {
			check(c, s)
		}
	}
}

// Kinds returns every kind that is defined, in the order of the table.
func Kinds() []Kind { return kindsWhere(func(definition) bool { return true }) }

// EnforcedKinds returns the kinds that pilot reads. Objects of all others are refused at admission.
func EnforcedKinds() []Kind { return kindsWhere(definition.enforced) }

func kindsWhere(match func(definition) bool) []Kind {
	var kinds []Kind
	for _, d := range definitions {
		if match(d) {
			kinds = append(kinds, d.kind)
		}
	}
	return kinds
}

func (d definition) enforced() bool { return d.validate != nil }

// definitionOf returns the row of a kind; false if there is none.
func definitionOf(kind Kind) (definition, bool) {
	i := slices.IndexFunc(definitions, func(d definition) bool { return d.kind == kind })
	if i < 0 {
		return definition{}, false
	}
	return definitions[i], true
}

// Enforced tells whether pilot reads objects of the kind.
func (k Kind) Enforced() bool {
	d, ok := definitionOf(k)
	return ok && d.enforced()
}

// Resource is the API resource to list and watch, in its storage version.
func (k Kind) Resource() schema.GroupVersionResource {
	d, _ := definitionOf(k)
	return schema.GroupVersionResource{Group: d.group, Version: d.versions[0], Resource: d.resource}
}

// Versions are the versions of the API in which the kind is served, the stored one first.
func (k Kind) Versions() []string {
	d, _ := definitionOf(k)
	return slices.Clone(d.versions)
}

// NewSpec returns an empty specification of the kind.
func (k Kind) NewSpec() proto.Message {
	d, _ := definitionOf(k)
	return d.spec()
}

// Refusal is the message that refuses objects of a kind that is not enforced; empty for the others.
func (k Kind) Refusal() string {
	d, ok := definitionOf(k)
	if !ok || d.enforced() {
		return ""
	}
	return string(k) + " is not supported yet: it would have no effect (" + d.alternative + ")"
}
