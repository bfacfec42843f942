package mesh

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// updatePolicyFindings checks the PeerAuthentications again that something they are checked against has changed of.
func (s *Snapshot) updatePolicyFindings(prev *Snapshot) {
	for namespace := range s.policiesToCheck(prev) {
		var objects []resource.Object
		for p := range s.index.policies.all.Get(namespace).Values() {
			objects = append(objects, p.object)
		}
		s.setUnresolved("policies of "+namespace, s.check(func(r *references) { r.policies(namespace) }, objects...))
	}
}

// policiesToCheck lists the namespaces of these PeerAuthentications.
func (s *Snapshot) policiesToCheck(prev *Snapshot) map[string]bool {
	found, all := map[string]bool{}, s.index.policies.all
	for c := range table.Diff(prev.index.policies.all.Table, all.Table) {
		found[c.Key] = true
	}
	if prev.index.policies.root != s.index.policies.root {
		for namespace := range all.All() {
			found[namespace] = true
		}
	}
	add := func(namespace string) {
		if !all.Get(namespace).Empty() {
			found[namespace] = true
		}
	}
	for c := range table.Diff(prev.in.Services, s.in.Services) {
		namespace, _, _ := strings.Cut(c.Key, "/")
		add(namespace)
	}
	for c := range table.Diff(prev.in.Pods, s.in.Pods) {
		if !c.Had || !c.Has || running(c.Old) != running(c.New) || !maps.Equal(c.Old.Labels, c.New.Labels) {
			namespace, _, _ := strings.Cut(c.Key, "/")
			add(namespace)
		}
	}
	return found
}

// policies checks the PeerAuthentications of a namespace.
func (r *references) policies(namespace string) {
	all := r.snapshot.index.policies
	for p := range all.all.Get(namespace).Values() {
		if len(p.selector()) > 0 {
			r.workloadPolicy(p)
		} else if stricter := stricterThan(p.mode(), all.withoutSelector(namespace), (*policy).mode); stricter != nil {
			scope := "namespace " + namespace
			if namespace == all.root {
				scope = "the mesh"
			}
			r.stricter(p, "spec.mtls.mode", stricter, stricter.mode(), scope)
		}
	}
}

func (r *references) stricter(p *policy, field string, other *policy, mode MTLSMode, scope string) {
	r.problem(Problem{Object: p.object, Field: field, Reason: fmt.Sprintf("%s sets %s, which is stricter and holds for %s", other.object, mode, scope)})
}

// stricterThan finds the policy that sets the strictest mode, if that is stricter than mode; nil if none does.
func stricterThan(mode MTLSMode, scope iter.Seq[*policy], of func(*policy) MTLSMode) *policy {
	if mode == "" {
		return nil
	}
	strict := strictest(scope, of, mode)
	for p := range scope {
		if of(p) == strict && strict != mode {
			return p
		}
	}
	return nil
}

// workloadPolicy checks one with a selector.
func (r *references) workloadPolicy(p *policy) {
	var pods []*corev1.Pod
	for name := range r.snapshot.index.proxied.Get(p.namespace).All() {
		if pod := r.snapshot.in.Pods.Get(name); pod != nil && proxyTypeOf(pod) == Sidecar && Selects(p.selector(), pod.Labels) {
			pods = append(pods, pod)
		}
	}
	if len(pods) == 0 {
		reason := fmt.Sprintf("no pod of namespace %s has these labels and a sidecar", p.namespace)
		r.problem(Problem{Object: p.object, Field: "spec.selector.matchLabels", Reason: reason})
		return
	}
	r.hiddenEverywhere(p, pods, "spec.mtls.mode", (*policy).mode, "all pods that it selects")
	for _, port := range slices.Sorted(maps.Keys(p.spec.GetPortLevelMtls())) {
		field := fmt.Sprintf("spec.portLevelMtls[%d]", port)
		r.hiddenEverywhere(p, pods, field, func(p *policy) MTLSMode { return p.on(port) }, fmt.Sprintf("port %d of all pods that it selects", port))
		r.servicePort(p, pods, field, port)
	}
}

// hiddenEverywhere reports a mode that a stricter policy hides for all pods.
func (r *references) hiddenEverywhere(p *policy, pods []*corev1.Pod, field string, of func(*policy) MTLSMode, scope string) {
	var stricter *policy
	for _, pod := range pods {
		stricter = stricterThan(of(p), r.snapshot.index.policies.selecting(p.namespace, pod.Labels), of)
		if stricter == nil {
			return
		}
	}
	r.stricter(p, field, stricter, of(stricter), scope)
}

// servicePort reports a number that is the port of a Service and leads to another port of the pods.
func (r *references) servicePort(p *policy, pods []*corev1.Pod, field string, number uint32) {
	var service *corev1.Service
	var target uint32
	for _, pod := range pods {
		if hasContainerPort(pod, number) {
			return
		}
		for k, port := range r.snapshot.portsOf(pod) {
			to, ok := targetPort(pod, port)
			if ok && to == number {
				return
			}
			if ok && uint32(port.Port) == number {
				service, target = k, to
			}
		}
	}
	if service == nil {
		return
	}
	const reason = "%d is the port of Service %s/%s, which leads to port %d of the pods: write %d, the ports are those of the workload"
	r.problem(Problem{Object: p.object, Field: field, Reason: fmt.Sprintf(reason, number, service.Namespace, service.Name, target, target)})
}

func hasContainerPort(p *corev1.Pod, number uint32) bool {
	return slices.ContainsFunc(containers(p), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool { return isTCP(cp.Protocol) && uint32(cp.ContainerPort) == number })
	})
}

// portsOf lists the TCP ports of the Services that select a pod.
func (s *Snapshot) portsOf(p *corev1.Pod) iter.Seq2[*corev1.Service, corev1.ServicePort] {
	return func(yield func(*corev1.Service, corev1.ServicePort) bool) {
		for k := range s.index.selecting.Get(p.Namespace).Values() {
			if len(k.Spec.Selector) == 0 || !Selects(k.Spec.Selector, p.Labels) {
				continue
			}
			for _, port := range k.Spec.Ports {
				if isTCP(port.Protocol) && !yield(k, port) {
					return
				}
			}
		}
	}
}
