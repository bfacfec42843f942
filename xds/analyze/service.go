package analyze

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// service checks a Service for what proxies do not do. One of type ExternalName is a name for callers alone.
func (c *checker) service(k *corev1.Service) {
	if k.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	report := func(field, reason string) {
		c.report(mesh.Problem{Object: serviceObject(k), Field: field, Reason: reason})
	}
	if p := k.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		report("spec.internalTrafficPolicy", "Local is not followed: endpoints of all nodes are called")
	}
	if len(k.Spec.ExternalIPs) > 0 {
		report("spec.externalIPs", "are not followed: proxies treat them as unknown addresses; use the Service's name or its cluster IP")
	}
	ports, http := mesh.CountPorts(k)
	for _, b := range []struct {
		n, most         int
		what, otherwise string
	}{
		{len(ports), mesh.MaxPorts, "ports", "none can be called through the mesh"},
		{http, mesh.MaxHTTPPorts, "HTTP ports", "they are treated as TCP, and no VirtualService has an effect on them"},
		{len(ports), mesh.MaxSubsetPorts, "ports", "subsets of DestinationRules have no effect"},
	} {
		if b.n > b.most {
			report("spec.ports", fmt.Sprintf("%d %s are more than %d: %s; write several Services", b.n, b.what, b.most, b.otherwise))
		}
	}
}

func serviceObject(k *corev1.Service) resource.Object {
	return resource.Object("Service/" + k.Namespace + "/" + k.Name)
}
