package mesh

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// redirectContainer is the init container that redirects a pod's traffic to its proxy. Its flags, not the pod's annotations,
// say which ports the proxy sees: annotations can change later.
const redirectContainer = "istio-init"

// captures reports whether the connections to a port of a pod reach its proxy. A pod without redirectContainer, such as a
// gateway's, has a proxy that listens itself.
func captures(p *corev1.Pod, port uint32) bool {
	for _, c := range p.Spec.InitContainers {
		if c.Name == redirectContainer {
			return listsPort(flagOf(c.Args, "include-inbound-ports", "*"), port) && !listsPort(flagOf(c.Args, "exclude-inbound-ports", ""), port)
		}
	}
	return true
}

func flagOf(args []string, name, fallback string) string {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	return fallback
}

// listsPort reads what the flags of `mesh-agent redirect` take: "*", or a list as in "8080,9000-9100".
func listsPort(list string, port uint32) bool {
	if list == "*" {
		return true
	}
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 == nil && err2 == nil && from <= uint64(port) && uint64(port) <= to {
			return true
		}
	}
	return false
}
