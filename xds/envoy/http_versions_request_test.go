package envoy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestTwoHTTPVersionsOnOneTargetPort: a server that takes HTTP/1.1 and gRPC on one port, which two ports of its Service declare,
// gets each request in the version that the caller uses.
func TestTwoHTTPVersionsOnOneTargetPort(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := strings.Replace(pairMesh(port, "http", "PERMISSIVE", "/dev/null"), "{name: http, port: 80, ",
		fmt.Sprintf("{name: grpc, port: 90, targetPort: %d}, {name: http, port: 80, ", port), 1)
	inbound, _ := startServerFor(t, text, port, ca.issue(t, "server"), serveProtocol(t))
	if got := http1(t, inbound, "server.default"); got != "200 HTTP/1.1" {
		t.Errorf("HTTP/1.1 arrives as %q", got)
	}
	if got := http2(t, inbound, "server.default"); got != "200 HTTP/2.0" {
		t.Errorf("HTTP/2 arrives as %q", got)
	}
}
