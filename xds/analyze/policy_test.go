package analyze

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

func peerAuthentication(namespace, name string, age int, spec *security.PeerAuthentication) istioconfig.Object {
	return istioconfig.Object{Kind: istioconfig.PeerAuthentication, Namespace: namespace, Name: name, Created: time.Unix(int64(1000-age), 0), Spec: spec}
}

func mode(m security.PeerAuthentication_MutualTLS_Mode) *security.PeerAuthentication_MutualTLS {
	return &security.PeerAuthentication_MutualTLS{Mode: m}
}

// onePod is a mesh of one pod with a sidecar, which listens on port 8080, and its Service, which has it on port 80.
func onePod() mesh.Inputs {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"app": "a", "security.istio.io/tlsMode": "istio"}}
	}
	return mesh.Inputs{
		MeshNamespace: "root",
		Services: mesh.Objects(&corev1.Service{ObjectMeta: meta("a"), Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "a"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}},
		}}),
		Pods: mesh.Objects(&corev1.Pod{ObjectMeta: meta("a-1"), Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}},
		}}),
	}
}

// TestPeerAuthenticationWithoutEffect has a mesh whose only pod listens on port 8080, which is port 80 of its Service.
func TestPeerAuthenticationWithoutEffect(t *testing.T) {
	const strict, permissive = security.PeerAuthentication_MutualTLS_STRICT, security.PeerAuthentication_MutualTLS_PERMISSIVE
	selects := func(app string) *typev1beta1.WorkloadSelector {
		return &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": app}}
	}
	onPort := func(port uint32) map[uint32]*security.PeerAuthentication_MutualTLS {
		return map[uint32]*security.PeerAuthentication_MutualTLS{port: mode(permissive)}
	}
	younger := peerAuthentication("ns", "strict", 1, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(strict)})
	for name, c := range map[string]struct {
		objects []istioconfig.Object
		want    []mesh.Problem
	}{
		"in effect": {[]istioconfig.Object{
			peerAuthentication("root", "default", 9, &security.PeerAuthentication{Mtls: mode(strict)}),
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("ns", "y", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(strict), PortLevelMtls: onPort(8080)}),
		}, nil},
		"a stricter one for the namespace": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("ns", "strict", 1, &security.PeerAuthentication{Mtls: mode(strict)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for namespace ns"}}},
		"a stricter one for the mesh": {[]istioconfig.Object{
			peerAuthentication("root", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("root", "strict", 1, &security.PeerAuthentication{Mtls: mode(strict)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/root/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/root/strict sets STRICT, which is stricter and holds for the mesh"}}},
		"a stricter one for the workload": {[]istioconfig.Object{
			younger, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(permissive)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for all pods that it selects"}}},
		"a stricter one for the port": {[]istioconfig.Object{
			younger, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(8080)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.portLevelMtls[8080]", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for port 8080 of all pods that it selects"}}},
		"the Service's port": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(80)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.portLevelMtls[80]",
			Reason: "80 is the port of Service ns/a, which leads to port 8080 of the pods: write 8080, the ports are those of the workload"}}},
		"a port that no Service has": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(9090)}),
		}, nil},
		"no pod": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("b"), Mtls: mode(strict)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.selector.matchLabels", Reason: "no pod of namespace ns has these labels and a sidecar"}}},
		"no pod of the root namespace": {[]istioconfig.Object{
			peerAuthentication("root", "x", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(strict)}),
		}, []mesh.Problem{{Object: "PeerAuthentication/root/x", Field: "spec.selector.matchLabels", Reason: "no pod of namespace root has these labels and a sidecar"}}},
	} {
		in := onePod()
		mesh.AddConfig(&in.Config, c.objects...)
		if diff := cmp.Diff(c.want, problems(mesh.Build(nil, in))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPeerAuthenticationFindingsFollowChanges changes what a finding depends on, one at a time and back.
func TestPeerAuthenticationFindingsFollowChanges(t *testing.T) {
	in := onePod()
	selector := &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "a"}}
	ports := map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(security.PeerAuthentication_MutualTLS_PERMISSIVE)}
	mesh.AddConfig(&in.Config, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selector, PortLevelMtls: ports}))
	before := mesh.Build(nil, in)
	for name, change := range map[string]func(*mesh.Inputs){
		"the pod's labels": func(in *mesh.Inputs) {
			pod := in.Pods.Get("ns/a-1").DeepCopy()
			delete(pod.Labels, "app")
			mesh.Add(&in.Pods, pod)
		},
		"the pod ends": func(in *mesh.Inputs) {
			pod := in.Pods.Get("ns/a-1").DeepCopy()
			pod.Status.Phase = corev1.PodFailed
			mesh.Add(&in.Pods, pod)
		},
		"the pod is gone": func(in *mesh.Inputs) { in.Pods = in.Pods.Without("ns/a-1") },
		"the Service is":  func(in *mesh.Inputs) { in.Services = in.Services.Without("ns/a") },
		"the Service's port": func(in *mesh.Inputs) {
			k := in.Services.Get("ns/a").DeepCopy()
			k.Spec.Ports[0].Port = 81
			mesh.Add(&in.Services, k)
		},
		"a stricter policy": func(in *mesh.Inputs) {
			mesh.AddConfig(&in.Config, peerAuthentication("ns", "y", 1, &security.PeerAuthentication{Selector: selector, Mtls: mode(security.PeerAuthentication_MutualTLS_STRICT)}))
		},
		"the policy is gone": func(in *mesh.Inputs) { in.Config = in.Config.Without("PeerAuthentication/ns/x") },
	} {
		now := in
		change(&now)
		after := mesh.Build(before, now)
		if diff := cmp.Diff(problems(mesh.Build(nil, now)), problems(after)); diff != "" || slices.Equal(problems(before), problems(after)) {
			t.Errorf("%s: problems %v became %v; difference from a build from nothing:\n%s", name, problems(before), problems(after), diff)
		}
		if diff := cmp.Diff(problems(before), problems(mesh.Build(after, in))); diff != "" {
			t.Errorf("%s, and back (-before +after):\n%s", name, diff)
		}
	}
}
