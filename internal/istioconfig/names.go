package istioconfig

import "strings"

// ResolveGateway is the namespace/name of a gateway that an object in namespace refers to, also in the spelling of Istio
// 0.8, name.namespace.svc.cluster.local; "mesh" stays.
func ResolveGateway(gateway, namespace string) string {
	if gateway == meshGateway || strings.Contains(gateway, "/") {
		return strings.TrimPrefix(strings.Replace(gateway, "./", namespace+"/", 1), "/")
	}
	if name, rest, ok := strings.Cut(gateway, "."); ok {
		ns, _, _ := strings.Cut(rest, ".")
		return ns + "/" + name
	}
	return namespace + "/" + gateway
}

func resolveGateways(gateways []string, namespace string) []string {
	var names []string
	for _, g := range gateways {
		names = append(names, ResolveGateway(g, namespace))
	}
	return names
}

// PartialWildcard tells whether a host is a wildcard that begins within a label, such as *foo.bar.
func PartialWildcard(host string) bool {
	return strings.HasPrefix(host, "*") && host != "*" && !strings.HasPrefix(host, "*.")
}

// normalHost is a host in lower case and without the dot of the DNS root, as DNS compares names (RFC 4343). A single label with a dot is
// left as it is: without the dot it would be a Service of the object's namespace.
func normalHost(host string) string {
	if name, absolute := strings.CutSuffix(host, "."); absolute && strings.Contains(name, ".") {
		host = name
	}
	return strings.ToLower(host)
}

func normalizeHost(parent object, name string) {
	if host, ok := parent[name].(string); ok {
		parent[name] = normalHost(host)
	}
}

// normalizeHosts is for lists of hosts, of which those of a Gateway may begin with a namespace.
func normalizeHosts(parent object, name string) {
	list, _ := parent[name].([]any)
	for i, e := range list {
		text, ok := e.(string)
		if !ok {
			continue
		}
		if namespace, host, qualified := strings.Cut(text, "/"); qualified {
			list[i] = namespace + "/" + normalHost(host)
		} else {
			list[i] = normalHost(text)
		}
	}
}
