package lab

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ReviewsVersion returns the version of reviews that a product page shows: v1 has no stars, v2 black, v3 red ones.
func ReviewsVersion(page string) string {
	for _, version := range []string{"v1", "v2", "v3"} {
		if strings.Contains(page, "reviews-"+version) {
			return version
		}
	}
	return "none"
}

// Containers counts a pod's long-running containers, native sidecars included, and how many of them are ready.
func Containers(p *corev1.Pod) (ready, total int) {
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			total++
		}
	}
	total += len(p.Spec.Containers)
	native := map[string]bool{}
	for _, c := range p.Spec.InitContainers {
		native[c.Name] = c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}
	for _, s := range p.Status.InitContainerStatuses {
		if native[s.Name] && s.Ready {
			ready++
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Ready {
			ready++
		}
	}
	return ready, total
}
