package mesh

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// protocols are the names that declare a protocol, in appProtocol or before the first dash of a port's name. What is not
// here is TCP: no protocol is guessed from what is spoken, so a server that speaks first never waits for a client.
var protocols = map[string]Protocol{
	"http": HTTP, "http1": HTTP, "ws": HTTP, "kubernetes.io/ws": HTTP,
	"http2": HTTP2, "grpc": HTTP2, "h2c": HTTP2, "kubernetes.io/h2c": HTTP2,
	"https": TLS, "tls": TLS, "wss": TLS, "kubernetes.io/wss": TLS,
}

// protocolOf tells what is spoken on a service's port. An appProtocol that is set decides alone.
func protocolOf(p corev1.ServicePort) Protocol {
	if p.AppProtocol != nil {
		return protocolNamed(*p.AppProtocol)
	}
	return protocolNamed(p.Name)
}

func protocolNamed(name string) Protocol {
	name = strings.ToLower(name)
	if name == string(GRPCWeb) || strings.HasPrefix(name, string(GRPCWeb)+"-") {
		return GRPCWeb
	}
	prefix, _, _ := strings.Cut(name, "-")
	if p, ok := protocols[prefix]; ok {
		return p
	}
	return TCP
}

// merge returns the protocol of a workload's port that two ports of Services declare differently; false if they contradict
// each other. A server may take every version of HTTP on one port.
func (p Protocol) merge(q Protocol) (Protocol, bool) {
	version := func(p Protocol) bool { return p == HTTP || p == HTTP2 || p == AnyHTTP }
	switch {
	case p == q:
		return p, true
	case version(p) && version(q):
		return AnyHTTP, true
	case p == HTTP2 && q == GRPCWeb, p == GRPCWeb && q == HTTP2: // the proxy translates only what is gRPC-Web
		return GRPCWeb, true
	}
	return p, false
}
