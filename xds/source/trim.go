package source

import (
	"encoding/json"
	"maps"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// lastApplied is kubectl's copy of the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// credentialKeys are the keys of a Secret that a gateway's credential may use. Nothing else of a Secret is kept in memory.
var credentialKeys = map[string]bool{
	"tls.crt": true, "tls.key": true, "ca.crt": true, "ca.crl": true, "cert": true, "key": true, "cacert": true, "crl": true,
}

// trim removes from an object, before it is cached, what pilot never reads; of a pod that is most of it.
func trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // a tombstone
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
	p.Annotations = trimStatus(p.Annotations)
	p.Spec = corev1.PodSpec{
		ServiceAccountName: p.Spec.ServiceAccountName, NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork,
		Containers: trimContainers(p.Spec.Containers), InitContainers: trimContainers(p.Spec.InitContainers),
	}
	p.Status = corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs}
}

// trimStatus keeps the version of the sidecar, if it is one that the operator makes: it ends up in metrics, and annotations
// are their tenant's to write.
func trimStatus(annotations map[string]string) map[string]string {
	var status struct {
		Version string `json:"version"`
	}
	if json.Unmarshal([]byte(annotations[names.SidecarStatusAnnotation]), &status) != nil || !sidecarVersion.MatchString(status.Version) {
		return nil
	}
	return map[string]string{mesh.SidecarVersion: status.Version}
}

var sidecarVersion = regexp.MustCompile(`^[0-9a-f]{16}$`)

func trimContainers(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range containers {
		out = append(out, corev1.Container{Name: c.Name, Args: c.Args, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return out
}
