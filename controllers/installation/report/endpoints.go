package report

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// endpoints lists the addresses under which users reach the mesh: the http and https ports of components that publish them, and
// the pages of what somebody else runs.
func endpoints(out Outcome) []v1alpha1.Endpoint {
	var list []v1alpha1.Endpoint
	for _, c := range out.Plan.Components {
		if !c.Enabled && c.External != "" {
			list = append(list, v1alpha1.Endpoint{Name: c.Name, URL: c.External})
		}
		service := out.Services[c.Workload]
		if !c.Enabled || !c.Endpoints || service == nil {
			continue
		}
		for _, port := range service.Spec.Ports {
			for _, url := range urls(service, port, nodeOf(c.Name, out.Pods)) {
				list = append(list, v1alpha1.Endpoint{Name: c.Name, URL: url})
			}
		}
	}
	slices.SortFunc(list, func(a, b v1alpha1.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.URL, b.URL))
	})
	return slices.Compact(list)
}

// urls are the addresses of one port of a Service: of its load balancer or, while there is none, of its node port.
func urls(service *corev1.Service, port corev1.ServicePort, node string) []string {
	scheme := schemeOf(port)
	if scheme == "" {
		return nil
	}
	var out []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if host := cmp.Or(ingress.IP, ingress.Hostname); host != "" {
			out = append(out, urlOf(scheme, host, port.Port))
		}
	}
	if len(out) == 0 && port.NodePort != 0 && node != "" {
		out = append(out, urlOf(scheme, node, port.NodePort))
	}
	return out
}

// schemeOf reads a port's protocol from its name; empty if it is not one that a browser speaks.
func schemeOf(port corev1.ServicePort) string {
	protocol, _, _ := strings.Cut(port.Name, "-")
	switch protocol {
	case "http", "http2":
		return "http"
	case "https":
		return "https"
	}
	return ""
}

func urlOf(scheme, host string, port int32) string {
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return scheme + "://" + strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// nodeOf is a node that runs a component, so that its node port answers there whatever the traffic policy. Of several it is
// always the same one.
func nodeOf(component string, pods []*corev1.Pod) string {
	node := ""
	for _, pod := range pods {
		if pod.Labels[owner.LabelComponent] != component || pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		if address := pod.Status.HostIP; address != "" && (node == "" || address < node) {
			node = address
		}
	}
	return node
}
