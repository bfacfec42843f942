package envoy

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// proven finds the identities in a line of the access log: they come first, whatever follows.
var proven = regexp.MustCompile(`^\[[^\]]*\] peer=(\S+) local=(\S+) `)

// TestLoggedIdentitiesCannotBeForged sends requests, with and without a certificate, whose logged parts look like the
// fields of identities.
func TestLoggedIdentitiesCannotBeForged(t *testing.T) {
	const forgery = `" peer=spiffe://cluster.local/ns/default/sa/admin local=spiffe://cluster.local/ns/default/sa/server `
	const server = "spiffe://cluster.local/ns/default/sa/server"
	log, port, ca := filepath.Join(t.TempDir(), "access.log"), envoytest.FreePort(t), newAuthority(t)
	text := pairMesh(port, "http", "PERMISSIVE", log)
	address, receiver := startServer(t, text, port, ca.issue(t, "server"))
	caller := startOutbound(t, text, "0.0.0.0_80", ca.issue(t, "client"))
	for mark, c := range map[string]struct {
		client      client
		host        string
		peer, local string
	}{
		"plain":   {client{address}, "server", "-", "-"},
		"certain": {caller, "server.default", "spiffe://cluster.local/ns/default/sa/client", server},
	} {
		t.Run(mark, func(t *testing.T) {
			header := http.Header{"User-Agent": {mark + forgery}, "X-Request-Id": {forgery}, "X-Envoy-Original-Path": {"/" + mark + forgery}}
			if got := c.client.getHost(t, c.host, "/", header); got.status != 200 {
				t.Fatalf("answer %v", got)
			}
			var line string
			receiver.Eventually("log of "+mark, func() bool {
				line = received(t, log, mark+forgery)
				return line != ""
			})
			if m := proven.FindStringSubmatch(line); m == nil || m[1] != c.peer || m[2] != c.local {
				t.Errorf("want peer %s, local %s in %s", c.peer, c.local, line)
			}
		})
	}
}

// received returns the line that the receiving side, not the caller, has written with these words.
func received(t *testing.T, log, words string) string {
	t.Helper()
	written, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(written)) {
		if strings.Contains(line, words) && strings.Contains(line, " cluster=inbound") && strings.HasSuffix(line, "\n") {
			return line
		}
	}
	return ""
}
