package analyze

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// external is a ServiceEntry for a host, of an age in seconds.
func external(namespace, name, host string, age int64, exportTo ...string) istioconfig.Object {
	return istioconfig.Object{Kind: istioconfig.ServiceEntry, Namespace: namespace, Name: name, Created: time.Unix(-age, 0), Spec: &networking.ServiceEntry{
		Hosts: []string{host}, Ports: []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}}, ExportTo: exportTo,
	}}
}

func TestServiceEntriesWithoutEffect(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root"}
	mesh.Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	mesh.Add(&in.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", Labels: map[string]string{"security.istio.io/tlsMode": "istio"}}})
	mesh.AddConfig(&in.Config,
		external("a", "good", "good.com", 2), external("a", "younger", "good.com", 1), external("a", "service", "s.a.svc.cluster.local", 1),
		external("a", "others", "others.com", 1, "b"), external("b", "nobody", "nobody.com", 1), external("root", "all", "all.com", 1),
		routesTo("a", "good", "good.com"), routesTo("a", "all", "all.com"), routesTo("a", "foreign", "nobody.com"),
		subsetOf("root", "good", "good.com"), subsetOf("a", "missing", "missing.com"))
	atGateway := routesTo("a", "gateway", "good.com")
	atGateway.Spec.(*networking.VirtualService).Gateways = []string{"missing"}
	mesh.AddConfig(&in.Config, atGateway)
	var got []string
	for _, p := range problems(mesh.Build(nil, in)) {
		got = append(got, fmt.Sprint(p.Object, " ", p.Field, ": ", p.Reason))
	}
	want := []string{
		"DestinationRule/a/missing spec.host: there is no Service missing.com; its full name would be missing.com.svc.cluster.local",
		"ServiceEntry/a/others spec.exportTo: leaves out namespace a, whose callers it is for: for callers of others, write it in their namespaces, or in root",
		"ServiceEntry/a/service spec.hosts: s.a.svc.cluster.local is the name of Service/a/s, which decides",
		"ServiceEntry/a/younger spec.hosts: ServiceEntry/a/good is older and decides for good.com: write all ports of a host in one ServiceEntry",
		"ServiceEntry/b/nobody spec.hosts: is for callers of namespace b, where no proxy is: for all callers, write it in root",
		"VirtualService/a/foreign spec.http[0].route[0].destination.host: ServiceEntry/b/nobody is for callers of namespace b: write one in the namespace of this object, or in root for all",
		"VirtualService/a/gateway spec.gateways[0]: there is no Gateway a/missing",
		"VirtualService/a/gateway spec.http[0].route[0].destination.host: ServiceEntry/a/good has resolution NONE, where the workload that calls chooses the address: a gateway has none to connect to; use resolution: DNS or STATIC",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
