package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/analyze"
	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// steps bounds a script: the fuzzer gives up on one that takes ten seconds on a machine that is busy.
const steps = 120

// FuzzIncremental changes a mesh step by step, three bytes a step, and compares what the proxies get, and every problem,
// with what a pilot makes that has just started: all the work that is not done again was not needed.
func FuzzIncremental(f *testing.F) {
	for seed := range uint64(6) {
		random, script := rand.New(rand.NewPCG(seed, 0)), make([]byte, steps*3)
		for i := range script {
			script[i] = byte(random.UintN(256))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		in := mesh.Inputs{MeshNamespace: "root", MeshConfig: &meshv1alpha1.MeshConfig{}}
		valid := in.Config // what is in effect: of an object that has become invalid the version before
		builder, warm, warmViews := envoy.NewBuilder(), (*mesh.Snapshot)(nil), (*views)(nil)
		proxies := map[string]*mesh.ProxyView{}
		for i := 0; i+2 < min(len(script), steps*3); i += 3 {
			before := in.Config
			change(&in, script[i], script[i+1], script[i+2])
			valid = keepValid(valid, before, in.Config)
			warm = mesh.Build(warm, in)
			warmViews = newViews(warmViews, warm)
			got := configurationOf(builder, warmViews, proxies)
			if i/3%6 != 0 { // comparing is the slow part
				continue
			}
			known := in
			known.Config = valid
			if diff := cmp.Diff(configurationOf(envoy.NewBuilder(), newViews(nil, mesh.Build(mesh.Build(nil, known), in)), map[string]*mesh.ProxyView{}), got); diff != "" {
				t.Fatalf("step %d differs (-from nothing +step by step):\n%s", i/3, diff)
			}
		}
	})
}

// keepValid follows a change with those objects that are valid.
func keepValid(valid, before, now table.Table[*istioconfig.Object]) table.Table[*istioconfig.Object] {
	for c := range table.Diff(before, now) {
		if !c.Has || c.Had && !c.New.SameAs(*c.Old) {
			valid = valid.Without(c.Key)
		}
		if c.Has && len(istioconfig.Validate(*c.New)) == 0 {
			valid = valid.With(c.Key, c.New)
		}
	}
	return valid
}

// configurationOf returns the configuration of each proxy, and the problems.
func configurationOf(b *envoy.Builder, v *views, proxies map[string]*mesh.ProxyView) map[string]string {
	s := v.snapshot()
	out := map[string]string{"problems": fmt.Sprint(s.Problems, analyze.Check(s))}
	for _, namespace := range namespaces {
		for _, name := range append(names, "gate") {
			at := namespace + "/" + name
			proxies[at] = s.UpdateProxy(proxies[at], namespace, name+"-0")
			if proxies[at] == nil {
				continue
			}
			proxy := proxies[at].Proxy
			view := v.scopes.Scope(scope.ClassOf(*proxy))
			o := v.output(b, view)
			out[at] = fmt.Sprintf("%x %v", view.Key(), append(o.shared.Problems(), o.problems...))
			for _, t := range resource.Types {
				for key, r := range o.set.Of(t).All() {
					out[at+" "+t.Short()+" "+key] = fmt.Sprintf("%s %v %x", r.Version, r.Sources, r.Body.GetValue())
				}
			}
		}
	}
	for at, text := range out { // keys of scopes are equal in one process only
		out[at] = strings.ToValidUTF8(text, "?")
	}
	return out
}

// The last namespace is the mesh's.
var namespaces, names = []string{"a", "b", "root"}, []string{"x", "y", "z"}

func pick[T any](list []T, n byte) T { return list[int(n)%len(list)] }

// change makes one object come, change or go.
func change(in *mesh.Inputs, what, which, how byte) {
	namespace, name := pick(namespaces, which), pick(names, which/3)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(int64(how%3), 0)}
	key, gone := namespace+"/"+name, how%5 == 0
	switch what % 15 {
	case 0, 10:
		if in.Services = in.Services.Without(key); !gone {
			mesh.Add(&in.Services, someService(meta, how))
		}
	case 1:
		if in.EndpointSlices = in.EndpointSlices.Without(key); !gone {
			mesh.Add(&in.EndpointSlices, someSlice(meta, how))
		}
	case 2, 11:
		meta.Name += "-0"
		if in.Pods = in.Pods.Without(key + "-0"); !gone {
			mesh.Add(&in.Pods, somePod(meta, name, which, how))
		}
	case 3:
		meta.Name = "gate-0"
		pod := somePod(meta, "gate", which, how)
		pod.Spec.Containers = []corev1.Container{{Name: "istio-proxy", Args: []string{"proxy", "router"}}}
		if in.Pods = in.Pods.Without(namespace + "/gate-0"); !gone {
			mesh.Add(&in.Pods, pod)
		}
	case 4:
		meta.Name = pick([]string{"gate-0", "gate-1"}, which/9)
		config(in, gone, istioconfig.Gateway, meta, someGateway(how))
	case 5, 6:
		config(in, gone, istioconfig.VirtualService, meta, someRoutes(name, how))
	case 7:
		config(in, gone, istioconfig.DestinationRule, meta, someRule(how))
	case 8:
		policy(in, gone, meta, how)
	case 9:
		meta.Name = pick(secrets, which/3)
		if in.Secrets = in.Secrets.Without(namespace + "/" + meta.Name); !gone {
			mesh.Add(&in.Secrets, someSecret(meta, how))
		}
	case 12:
		config(in, gone, istioconfig.Telemetry, meta, someTelemetry(meta.Name, how))
	case 13, 14:
		config(in, gone, istioconfig.ServiceEntry, meta, someEntry(how, which))
	}
}

func config(in *mesh.Inputs, gone bool, kind istioconfig.Kind, meta metav1.ObjectMeta, spec proto.Message) {
	o := istioconfig.Object{Kind: kind, Namespace: meta.Namespace, Name: meta.Name, Created: meta.CreationTimestamp.Time, Spec: spec}
	if in.Config = in.Config.Without(mesh.ConfigName(o)); !gone {
		mesh.AddConfig(&in.Config, o)
	}
}

// policy changes a PeerAuthentication or, now and then, what the whole mesh does with unknown traffic.
func policy(in *mesh.Inputs, gone bool, meta metav1.ObjectMeta, how byte) {
	if how%7 == 0 {
		mode := meshv1alpha1.MeshConfig_OutboundTrafficPolicy_Mode(how / 7 % 2)
		in.MeshConfig = &meshv1alpha1.MeshConfig{OutboundTrafficPolicy: &meshv1alpha1.MeshConfig_OutboundTrafficPolicy{Mode: mode}}
		return
	}
	p := &security.PeerAuthentication{Mtls: &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_Mode(how % 4)}}
	if how%2 == 0 {
		p.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": meta.Name}}
		p.PortLevelMtls = map[uint32]*security.PeerAuthentication_MutualTLS{pick([]uint32{80, 81, 90}, how/8): {Mode: security.PeerAuthentication_MutualTLS_Mode(how / 32 % 4)}}
	}
	config(in, gone, istioconfig.PeerAuthentication, meta, p)
}

// someTelemetry is about the mesh, a namespace or a workload; it may name a provider that does not exist, or be invalid.
func someTelemetry(name string, how byte) *telemetry.Telemetry {
	log := &telemetry.AccessLogging{
		Match:     &telemetry.AccessLogging_LogSelector{Mode: telemetry.WorkloadMode(how / 4 % 3)},
		Providers: []*telemetry.ProviderRef{{Name: pick([]string{"envoy", "envoy-json", "other"}, how/16)}},
	}
	if how%3 == 0 {
		log.Filter = &telemetry.AccessLogging_Filter{Expression: pick([]string{"response.code >= 500", "response.code >"}, how/64)}
	}
	t := &telemetry.Telemetry{AccessLogging: []*telemetry.AccessLogging{log}}
	if how%2 == 0 {
		t.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": name}}
	}
	return t
}

var secrets = []string{"web", "web-cacert", "other"}

// someGateway may serve HTTP or HTTPS, on one port or two, with hosts of its own, of some, or of all; it may be invalid.
func someGateway(how byte) *networking.Gateway {
	hosts := func(n byte) []string {
		return []string{pick([]string{"*", "*", "*.com", "b/*", "./out.com", "*.b.svc.cluster.local", "*ut.com"}, n)}
	}
	g := &networking.Gateway{Selector: map[string]string{"app": "gate"}, Servers: []*networking.Server{{
		Port: &networking.Port{Number: 80, Name: "http", Protocol: "HTTP"}, Hosts: hosts(how),
	}}}
	switch how / 8 % 4 {
	case 0:
		g.Servers = append(g.Servers, &networking.Server{
			Port: &networking.Port{Number: 443, Name: "https", Protocol: "HTTPS"}, Hosts: hosts(how / 2),
			Tls: &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_TLSmode(1 + how/32%2), CredentialName: pick(secrets, how)},
		})
	case 1:
		g.Servers[0].Port.Number = 90
	case 2:
		if how%3 == 0 {
			g.Servers[0].Port.Protocol = "UDP"
		}
	}
	return g
}

// someRule may be for a service or for many, take a certificate from a Secret, or be invalid.
func someRule(how byte) *networking.DestinationRule {
	r := &networking.DestinationRule{
		Host:    pick([]string{"x", "y", "x.a.svc.cluster.local", "*.b.svc.cluster.local", "*", "*y.b.svc.cluster.local", "out.com"}, how),
		Subsets: []*networking.Subset{{Name: pick([]string{"v0", "v1"}, how/2), Labels: map[string]string{"version": pick([]string{"v0", "v1"}, how/4)}}},
	}
	switch how / 8 % 6 {
	case 0:
		r.TrafficPolicy = &networking.TrafficPolicy{ConnectionPool: &networking.ConnectionPoolSettings{Tcp: &networking.ConnectionPoolSettings_TCPSettings{MaxConnections: int32(how % 3)}}}
	case 1:
		r.TrafficPolicy = &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_MUTUAL, CredentialName: pick(secrets, how)}}
	case 2:
		r.Subsets = append(r.Subsets, r.Subsets[0]) // the name is there twice
	case 3:
		r.ExportTo = []string{"."}
	}
	return r
}

// someSecret may be whole, of authorities only, or garbage.
func someSecret(meta metav1.ObjectMeta, how byte) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{}}
	if how%4 > 0 {
		s.Data["tls.crt"], s.Data["tls.key"] = pairs[how%2]()
	}
	if how%4 < 2 {
		s.Data["ca.crt"], _ = pairs[how/4%2]()
	}
	if how%16 == 15 {
		s.Data["tls.key"] = []byte("garbage")
	}
	return s
}

// pairs are certificates with their keys, made once.
var pairs = []func() (certificate, key []byte){sync.OnceValues(newPair), sync.OnceValues(newPair)}

func newPair() (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// someService may claim an address that others claim, too, have one of each family, be headless, an alias, or not for
// everybody.
func someService(meta metav1.ObjectMeta, how byte) *corev1.Service {
	k := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		ClusterIP: fmt.Sprintf("10.0.0.%d", how%3), Selector: map[string]string{"app": meta.Name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
	}}
	if how%4 > 0 {
		k.Spec.Ports = append(k.Spec.Ports, corev1.ServicePort{Name: "tcp", Port: 90})
	}
	switch how / 8 % 8 {
	case 0:
		k.Spec.ClusterIP = corev1.ClusterIPNone
	case 1:
		k.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: pick(names, how) + ".a.svc.cluster.local"}
	case 2:
		k.Annotations = map[string]string{"networking.istio.io/exportTo": pick([]string{".", "b"}, how)}
	case 3:
		k.Spec.Ports[0].Port = 81
	case 4:
		k.Spec.ClusterIPs = []string{k.Spec.ClusterIP, fmt.Sprintf("fd00::%d", how%3)}
	case 5:
		local := corev1.ServiceInternalTrafficPolicyLocal
		k.Spec.InternalTrafficPolicy = &local
	case 6:
		k.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	return k
}

func someSlice(meta metav1.ObjectMeta, how byte) *discoveryv1.EndpointSlice {
	http, tcp, port, other := "http", "tcp", int32(80), int32(90)
	s := &discoveryv1.EndpointSlice{ObjectMeta: meta, Ports: []discoveryv1.EndpointPort{{Name: &http, Port: &port}, {Name: &tcp, Port: &other}}}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: pick(names, how/32)}
	address := "10.1.0.%d"
	if s.AddressType = discoveryv1.AddressTypeIPv4; how/16%2 == 1 {
		s.AddressType, address = discoveryv1.AddressTypeIPv6, "fd00:1::%d"
	}
	for e := range how % 4 {
		endpoint := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf(address, (how+e)%6)}}
		if how%3 > 0 {
			endpoint.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: pick(names, how+e) + "-0"}
		}
		s.Endpoints = append(s.Endpoints, endpoint)
	}
	return s
}

func somePod(meta metav1.ObjectMeta, app string, which, how byte) *corev1.Pod {
	meta.Labels = map[string]string{"app": app, "version": pick([]string{"v0", "v1"}, how), "security.istio.io/tlsMode": pick([]string{"istio", ""}, how/2)}
	p := &corev1.Pod{ObjectMeta: meta, Status: corev1.PodStatus{PodIP: fmt.Sprintf("10.1.0.%d", which%6)}}
	if which%4 == 1 {
		p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}, {IP: fmt.Sprintf("fd00:1::%d", which%6)}}
	}
	if how%11 == 0 {
		p.Status.Phase = corev1.PodFailed
	}
	return p
}

// someRoutes may be for a service, for all of a namespace, for a host outside, for gateways, or for some callers only; they
// may lead to a subset or to a port, and be invalid.
func someRoutes(name string, how byte) *networking.VirtualService {
	r := &networking.HTTPRoute{
		Timeout: durationpb.New(time.Duration(1+how%3) * time.Second),
		Route:   []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: pick([]string{"x", "y.a.svc.cluster.local", "z.b.svc.cluster.local", "out.com"}, how)}}},
	}
	if how%3 == 0 {
		r.Match = []*networking.HTTPMatchRequest{{SourceLabels: map[string]string{"version": pick([]string{"v0", "v1"}, how/4)}}}
	}
	v := &networking.VirtualService{Http: []*networking.HTTPRoute{r}}
	v.Hosts = []string{pick([]string{name, name, "*.b.svc.cluster.local", "out.com", "x.a", "x.b.svc", "*x.b.svc.cluster.local"}, how/2)}
	switch how % 4 {
	case 1:
		v.Gateways = []string{"mesh", "gate-0", "a/gate-0"}
	case 2:
		v.Gateways = []string{pick([]string{"gate-1", "root/gate-0"}, how/8)}
	}
	switch to := r.Route[0].Destination; how / 16 % 5 {
	case 0:
		to.Subset = pick([]string{"v0", "v1"}, how/4)
	case 1:
		to.Port = &networking.PortSelector{Number: pick([]uint32{80, 90}, how/4)}
	case 2:
		r.Mirror = &networking.Destination{Host: pick([]string{"z", "z.root.svc.cluster.local"}, how/4), Subset: "v0"}
	case 3:
		if how%3 == 1 {
			r.Timeout = durationpb.New(-time.Second)
		}
	}
	if how%13 == 0 {
		v.ExportTo = []string{"."}
	}
	return v
}
