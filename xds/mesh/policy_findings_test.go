package mesh

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

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
		want    []Problem
	}{
		"in effect": {[]istioconfig.Object{
			peerAuthentication("root", "default", 9, &security.PeerAuthentication{Mtls: mode(strict)}),
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("ns", "y", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(strict), PortLevelMtls: onPort(8080)}),
		}, nil},
		"a stricter one for the namespace": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("ns", "strict", 1, &security.PeerAuthentication{Mtls: mode(strict)}),
		}, []Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for namespace ns"}}},
		"a stricter one for the mesh": {[]istioconfig.Object{
			peerAuthentication("root", "x", 5, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("root", "strict", 1, &security.PeerAuthentication{Mtls: mode(strict)}),
		}, []Problem{{Object: "PeerAuthentication/root/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/root/strict sets STRICT, which is stricter and holds for the mesh"}}},
		"a stricter one for the workload": {[]istioconfig.Object{
			younger, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(permissive)}),
		}, []Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.mtls.mode", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for all pods that it selects"}}},
		"a stricter one for the port": {[]istioconfig.Object{
			younger, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(8080)}),
		}, []Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.portLevelMtls[8080]", Reason: "PeerAuthentication/ns/strict sets STRICT, which is stricter and holds for port 8080 of all pods that it selects"}}},
		"the Service's port": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(80)}),
		}, []Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.portLevelMtls[80]",
			Reason: "80 is the port of Service ns/a, which leads to port 8080 of the pods: write 8080, the ports are those of the workload"}}},
		"a port that no Service has": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("a"), PortLevelMtls: onPort(9090)}),
		}, nil},
		"no pod": {[]istioconfig.Object{
			peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selects("b"), Mtls: mode(strict)}),
		}, []Problem{{Object: "PeerAuthentication/ns/x", Field: "spec.selector.matchLabels", Reason: "no pod of namespace ns has these labels and a sidecar"}}},
		"no pod of the root namespace": {[]istioconfig.Object{
			peerAuthentication("root", "x", 5, &security.PeerAuthentication{Selector: selects("a"), Mtls: mode(strict)}),
		}, []Problem{{Object: "PeerAuthentication/root/x", Field: "spec.selector.matchLabels", Reason: "no pod of namespace root has these labels and a sidecar"}}},
	} {
		in := smallMesh()
		AddConfig(&in.Config, c.objects...)
		if diff := cmp.Diff(c.want, Build(nil, in).Problems); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPeerAuthenticationFindingsFollowChanges changes what a finding depends on, one at a time and back.
func TestPeerAuthenticationFindingsFollowChanges(t *testing.T) {
	in := smallMesh()
	selector := &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "a"}}
	ports := map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(security.PeerAuthentication_MutualTLS_PERMISSIVE)}
	AddConfig(&in.Config, peerAuthentication("ns", "x", 5, &security.PeerAuthentication{Selector: selector, PortLevelMtls: ports}))
	before := Build(nil, in)
	for name, change := range map[string]func(*Inputs){
		"the pod's labels": func(in *Inputs) {
			pod := in.Pods.Get("ns/a-1").DeepCopy()
			delete(pod.Labels, "app")
			Add(&in.Pods, pod)
		},
		"the pod ends": func(in *Inputs) {
			pod := in.Pods.Get("ns/a-1").DeepCopy()
			pod.Status.Phase = corev1.PodFailed
			Add(&in.Pods, pod)
		},
		"the pod is gone": func(in *Inputs) { in.Pods = in.Pods.Without("ns/a-1") },
		"the Service is":  func(in *Inputs) { in.Services = in.Services.Without("ns/a") },
		"the Service's port": func(in *Inputs) {
			k := in.Services.Get("ns/a").DeepCopy()
			k.Spec.Ports[0].Port = 81
			Add(&in.Services, k)
		},
		"a stricter policy": func(in *Inputs) {
			AddConfig(&in.Config, peerAuthentication("ns", "y", 1, &security.PeerAuthentication{Selector: selector, Mtls: mode(security.PeerAuthentication_MutualTLS_STRICT)}))
		},
		"the policy is gone": func(in *Inputs) { in.Config = in.Config.Without("PeerAuthentication/ns/x") },
	} {
		now := in
		change(&now)
		after := Build(before, now)
		if diff := cmp.Diff(Build(nil, now).Problems, after.Problems); diff != "" || slices.Equal(before.Problems, after.Problems) {
			t.Errorf("%s: problems %v became %v; difference from a build from nothing:\n%s", name, before.Problems, after.Problems, diff)
		}
		if diff := cmp.Diff(before.Problems, Build(after, in).Problems); diff != "" {
			t.Errorf("%s, and back (-before +after):\n%s", name, diff)
		}
	}
}
