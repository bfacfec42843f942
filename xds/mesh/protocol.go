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
	name := strings.ToLower(p.Name)
	if name == "grpc-web" || strings.HasPrefix(name, "grpc-web-") {
		return HTTP
	}
	prefix, _, _ := strings.Cut(name, "-")
	return protocolNamed(prefix)
}

func protocolNamed(name string) Protocol {
	name = strings.ToLower(name)
	if name == "grpc-web" {
		return HTTP
	}
	if p, ok := protocols[name]; ok {
		return p
	}
	return TCP
}
