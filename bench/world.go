package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// size is the size of a synthetic mesh.
type size struct {
	services   int
	namespaces int
	endpoints  int // of each service
	proxies    int // connected ones; each is the first, then the second, ... pod of a service
}

// world is a synthetic mesh that can change: services that speak HTTP, every fifth TCP as well, for every tenth a
// VirtualService and a DestinationRule with two subsets, and for every tenth a route of a gateway.
type world struct {
	size size
	in   mesh.Inputs
	next int // makes every change unlike the one before
}

const (
	httpPort = 8080
	tcpPort  = 9000
	one      = 7 // the service that changes happen to; it speaks HTTP

	gatewayNamespace = "istio-system"
)

func newWorld(s size) *world {
	w := &world{size: s, in: mesh.Inputs{MeshNamespace: "istio-system", MeshConfig: &meshv1alpha1.MeshConfig{}, MTLS: mesh.Permissive}}
	for i := range s.services {
		w.addService(i)
		if i%10 == 0 {
			mesh.AddConfig(&w.in.Config, w.virtualService(i, 1), w.destinationRule(i, "v1"))
		}
		if i%10 == 1 {
			mesh.AddConfig(&w.in.Config, w.gatewayRoute(i, 1))
		}
	}
	mesh.AddConfig(&w.in.Config, w.virtualService(one, 1), w.destinationRule(one, "v1"), w.gatewayRoute(one, 1), w.gateway(1))
	mesh.Add(&w.in.Pods, gatewayPod())
	return w
}

func (w *world) namespace(i int) string { return fmt.Sprintf("ns-%d", i%w.size.namespaces) }

func serviceName(i int) string { return fmt.Sprintf("s-%d", i) }

// address gives every endpoint one of its own; the first octet tells services, pods and latecomers apart.
func address(first, n int) string {
	return fmt.Sprintf("%d.%d.%d.%d", first, n>>16&255, n>>8&255, n&255)
}

func (w *world) addService(i int) {
	name, namespace := serviceName(i), w.namespace(i)
	k := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(1_700_000_000, 0)},
		Spec: corev1.ServiceSpec{
			ClusterIP: address(10, i), Selector: map[string]string{"app": name},
			Ports: []corev1.ServicePort{{Name: "http", Port: httpPort}},
		},
	}
	if i%5 == 0 {
		k.Spec.Ports = append(k.Spec.Ports, corev1.ServicePort{Name: "tcp", Port: tcpPort})
	}
	mesh.Add(&w.in.Services, k)
	for e := range w.size.endpoints {
		mesh.Add(&w.in.Pods, w.pod(i, e))
	}
	mesh.Add(&w.in.EndpointSlices, w.slice(i, w.size.endpoints))
}

func (w *world) pod(service, e int) *corev1.Pod {
	name := fmt.Sprintf("%s-%d", serviceName(service), e)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace(service), Name: name, UID: types.UID(name),
			Labels: map[string]string{"app": serviceName(service), "version": fmt.Sprintf("v%d", e%2), "security.istio.io/tlsMode": "istio"},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: serviceName(service),
			Containers:         []corev1.Container{{Name: "app"}, {Name: "istio-proxy", Args: []string{"proxy", "sidecar"}}},
		},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: w.podIP(service, e)}}},
	}
}

func (w *world) podIP(service, e int) string { return address(11, service*w.size.endpoints+e) }

func (w *world) slice(service, endpoints int) *discoveryv1.EndpointSlice {
	http, tcp, httpNumber, tcpNumber := "http", "tcp", int32(httpPort), int32(tcpPort)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace(service), Name: serviceName(service),
			Labels: map[string]string{discoveryv1.LabelServiceName: serviceName(service)},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &http, Port: &httpNumber}, {Name: &tcp, Port: &tcpNumber}},
	}
	for e := range endpoints {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{w.podIP(service, e)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: fmt.Sprintf("%s-%d", serviceName(service), e)},
		})
	}
	return s
}

func (w *world) virtualService(i, seconds int) istioconfig.Object {
	return istioconfig.Object{
		Kind: istioconfig.VirtualService, Namespace: w.namespace(i), Name: serviceName(i), Created: time.Unix(1_700_000_000, 0),
		Spec: &networking.VirtualService{
			Hosts: []string{serviceName(i)},
			Http: []*networking.HTTPRoute{{
				Timeout: durationpb.New(time.Duration(seconds) * time.Second),
				Route:   []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: serviceName(i)}}},
			}},
		},
	}
}

// gatewayRoute is a VirtualService that leads from the gateway to a service.
func (w *world) gatewayRoute(i, seconds int) istioconfig.Object {
	o := w.virtualService(i, seconds)
	o.Name += "-edge"
	spec := o.Spec.(*networking.VirtualService)
	spec.Hosts, spec.Gateways = []string{serviceName(i) + ".example.com"}, []string{gatewayNamespace + "/gate"}
	return o
}

// destinationRule has two subsets, of which the second selects pods of a version.
func (w *world) destinationRule(i int, version string) istioconfig.Object {
	subset := func(name, version string) *networking.Subset {
		return &networking.Subset{Name: name, Labels: map[string]string{"version": version}}
	}
	return istioconfig.Object{
		Kind: istioconfig.DestinationRule, Namespace: w.namespace(i), Name: serviceName(i), Created: time.Unix(1_700_000_000, 0),
		Spec: &networking.DestinationRule{Host: serviceName(i), Subsets: []*networking.Subset{subset("v0", "v0"), subset("v1", version)}},
	}
}

// gateway serves HTTP, and on as many more ports as asked for.
func (w *world) gateway(more int) istioconfig.Object {
	spec := &networking.Gateway{Selector: map[string]string{"app": "gate"}}
	for i := range 1 + more {
		spec.Servers = append(spec.Servers, &networking.Server{
			Port: &networking.Port{Number: uint32(8080 + i), Name: fmt.Sprintf("http-%d", i), Protocol: "HTTP"}, Hosts: []string{"*"},
		})
	}
	return istioconfig.Object{Kind: istioconfig.Gateway, Namespace: gatewayNamespace, Name: "gate", Created: time.Unix(1_700_000_000, 0), Spec: spec}
}

func gatewayPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: gatewayNamespace, Name: "gate-0", Labels: map[string]string{"app": "gate"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "gate", Containers: []corev1.Container{{Name: "istio-proxy", Args: []string{"proxy", "router"}}}},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: address(13, 1)}}},
	}
}

// change is something that happens in a mesh, as new inputs.
type change struct {
	name  string
	apply func(*world)
}

var changes = []change{
	{"nothing", func(*world) {}},
	{"an endpoint", (*world).changeEndpoint},
	{"a VirtualService", (*world).changeRoutes},
	{"a DestinationRule", (*world).changeRule},
	{"a gateway's route", (*world).changeGatewayRoute},
	{"a Gateway", (*world).changeGateway},
	{"a new Service", (*world).newService},
}

// changeEndpoint gives a service one more endpoint than it has pods, each time at another address.
func (w *world) changeEndpoint() {
	w.next++
	s := w.slice(one, w.size.endpoints)
	s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address(12, w.next)}})
	mesh.Add(&w.in.EndpointSlices, s)
}

// changeRoutes gives a VirtualService another timeout.
func (w *world) changeRoutes() {
	w.next++
	mesh.AddConfig(&w.in.Config, w.virtualService(one, 1+w.next))
}

// changeRule gives a subset of a DestinationRule other pods.
func (w *world) changeRule() {
	w.next++
	mesh.AddConfig(&w.in.Config, w.destinationRule(one, fmt.Sprintf("v%d", w.next)))
}

// changeGatewayRoute gives a VirtualService of the gateway another timeout.
func (w *world) changeGatewayRoute() {
	w.next++
	mesh.AddConfig(&w.in.Config, w.gatewayRoute(one, 1+w.next))
}

// changeGateway gives the gateway a port, or takes it away.
func (w *world) changeGateway() {
	w.next++
	mesh.AddConfig(&w.in.Config, w.gateway(w.next%2))
}

// newService adds a service with its pods.
func (w *world) newService() {
	w.next++
	w.addService(1<<20 + w.next)
}

// nodes lists the node ids of the proxies that connect, spread over the namespaces.
func (w *world) nodes() []string {
	var ids []string
	for i := range w.size.proxies {
		service, e := i%w.size.services, i/w.size.services%w.size.endpoints
		ids = append(ids, fmt.Sprintf("sidecar~%s~%s-%d.%s~%[4]s.svc.cluster.local", w.podIP(service, e), serviceName(service), e, w.namespace(service)))
	}
	return ids
}
