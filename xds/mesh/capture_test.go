package mesh

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestEndpointOfUncapturedPortHasNoMTLS: no proxy terminates mutual TLS on a port that is not captured. The endpoint of
// smallMesh has port 8080.
func TestEndpointOfUncapturedPortHasNoMTLS(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want bool
	}{
		"Defaults":      {[]string{"redirect", "--include-inbound-ports=*", "--exclude-inbound-ports=15090,15021,15020"}, true},
		"NoFlags":       {[]string{"redirect"}, true},
		"Excluded":      {[]string{"redirect", "--include-inbound-ports=*", "--exclude-inbound-ports=15090,8080"}, false},
		"ExcludedRange": {[]string{"redirect", "--exclude-inbound-ports=8000-8080"}, false},
		"OtherExcluded": {[]string{"redirect", "--exclude-inbound-ports=80,8000-8079,8081"}, true},
		"Included":      {[]string{"redirect", "--include-inbound-ports=80,8080"}, true},
		"NotIncluded":   {[]string{"redirect", "--include-inbound-ports=80"}, false},
		"NoneIncluded":  {[]string{"redirect", "--include-inbound-ports="}, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := smallMesh()
			before := Build(nil, in)
			pod := in.Pods.Get("ns/a-1").DeepCopy()
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: redirectContainer, Args: c.args})
			Add(&in.Pods, pod)
			port := Build(before, in).Service("a.ns.svc.cluster.local").Ports[0]
			if got := port.Endpoints[0].MTLS; got != c.want || port.AllMTLS != c.want {
				t.Errorf("mutual TLS %t, of all endpoints %t, want %t", got, port.AllMTLS, c.want)
			}
		})
	}
}
