package analyze

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// policies checks the PeerAuthentications of a namespace.
func (c *checker) policies(namespace string) {
	all := c.snapshot.Policies()
	for p := range all.ByNamespace.Get(namespace).Values() {
		if len(p.Selector()) > 0 {
			c.workloadPolicy(p)
		} else if stricter := stricterThan(p.Mode(), all.WithoutSelector(namespace), (*mesh.PeerAuthentication).Mode); stricter != nil {
			scope := "namespace " + namespace
			if namespace == c.snapshot.Settings.RootNamespace {
				scope = "the mesh"
			}
			c.stricter(p, "spec.mtls.mode", stricter, stricter.Mode(), scope)
		}
	}
}

func (c *checker) stricter(p *mesh.PeerAuthentication, field string, other *mesh.PeerAuthentication, mode mesh.MTLSMode, scope string) {
	c.report(mesh.Problem{Object: p.Object, Field: field, Reason: fmt.Sprintf("%s sets %s, which is stricter and holds for %s", other.Object, mode, scope)})
}

// stricterThan finds the policy that sets the strictest mode, if that is stricter than mode; nil if none does.
func stricterThan(mode mesh.MTLSMode, scope iter.Seq[*mesh.PeerAuthentication], of func(*mesh.PeerAuthentication) mesh.MTLSMode) *mesh.PeerAuthentication {
	if mode == "" {
		return nil
	}
	strict := mesh.Strictest(scope, of, mode)
	for p := range scope {
		if of(p) == strict && strict != mode {
			return p
		}
	}
	return nil
}

// workloadPolicy checks one with a selector.
func (c *checker) workloadPolicy(p *mesh.PeerAuthentication) {
	var pods []*corev1.Pod
	for _, pod := range c.sidecars[p.Namespace] {
		if mesh.Selects(p.Selector(), pod.Labels) {
			pods = append(pods, pod)
		}
	}
	if len(pods) == 0 {
		reason := fmt.Sprintf("no pod of namespace %s has these labels and a sidecar", p.Namespace)
		c.report(mesh.Problem{Object: p.Object, Field: "spec.selector.matchLabels", Reason: reason})
		return
	}
	c.hiddenEverywhere(p, pods, "spec.mtls.mode", (*mesh.PeerAuthentication).Mode, "all pods that it selects")
	for _, port := range slices.Sorted(maps.Keys(p.Spec.GetPortLevelMtls())) {
		field := fmt.Sprintf("spec.portLevelMtls[%d]", port)
		c.hiddenEverywhere(p, pods, field, func(p *mesh.PeerAuthentication) mesh.MTLSMode { return p.ModeOn(port) }, fmt.Sprintf("port %d of all pods that it selects", port))
		c.servicePort(p, pods, field, port)
	}
}

// hiddenEverywhere reports a mode that a stricter policy hides for all pods.
func (c *checker) hiddenEverywhere(p *mesh.PeerAuthentication, pods []*corev1.Pod, field string, of func(*mesh.PeerAuthentication) mesh.MTLSMode, scope string) {
	var stricter *mesh.PeerAuthentication
	for _, pod := range pods {
		stricter = stricterThan(of(p), c.snapshot.Policies().Selecting(p.Namespace, pod.Labels), of)
		if stricter == nil {
			return
		}
	}
	c.stricter(p, field, stricter, of(stricter), scope)
}

// servicePort reports a number that is the port of a Service and leads to another port of the pods.
func (c *checker) servicePort(p *mesh.PeerAuthentication, pods []*corev1.Pod, field string, number uint32) {
	var service *corev1.Service
	var target uint32
	for _, pod := range pods {
		if mesh.DeclaresPort(pod, number) {
			return
		}
		for k, port := range c.snapshot.ServicePorts(pod) {
			if port.TargetPort == number {
				return
			}
			if port.ServicePort == number {
				service, target = k, port.TargetPort
			}
		}
	}
	if service == nil {
		return
	}
	const reason = "%d is the port of Service %s/%s, which leads to port %d of the pods: write %d, the ports are those of the workload"
	c.report(mesh.Problem{Object: p.Object, Field: field, Reason: fmt.Sprintf(reason, number, service.Namespace, service.Name, target, target)})
}
