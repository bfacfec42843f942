package source

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// lastApplied is kubectl's copy of the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// credentialKeys are the keys of a Secret that a gateway's credential may use. Nothing else of a Secret is kept in memory.
var credentialKeys = map[string]bool{"tls.crt": true, "tls.key": true, "ca.crt": true, "cert": true, "key": true, "cacert": true}

// trim removes from an object, before it is cached, what pilot never reads; of a pod that is most of it.
func trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil // a tombstone
	}
	accessor.SetManagedFields(nil)
	if annotations := accessor.GetAnnotations(); annotations[lastApplied] != "" {
		annotations = maps.Clone(annotations)
		delete(annotations, lastApplied)
		accessor.SetAnnotations(annotations)
	}
	switch o := object.(type) {
	case *corev1.Pod:
		trimPod(o)
	case *corev1.Secret:
		maps.DeleteFunc(o.Data, func(key string, _ []byte) bool { return !credentialKeys[key] })
	}
	return object, nil
}

func trimPod(p *corev1.Pod) {
	p.Annotations = nil
	p.Spec = corev1.PodSpec{
		ServiceAccountName: p.Spec.ServiceAccountName, NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork,
		Containers: trimContainers(p.Spec.Containers), InitContainers: trimContainers(p.Spec.InitContainers),
	}
	p.Status = corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs}
}

func trimContainers(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range containers {
		out = append(out, corev1.Container{Name: c.Name, Args: c.Args, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return out
}
