package archtest

import (
	"go/version"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// fixed is the first Go release with repairs that our ports need: HTTP/2 that forgot the deadline for a request's headers
// (CVE-2026-56853), messages after a TLS handshake (CVE-2026-56862), certificates whose ASN.1 nests without end (CVE-2026-33818).
// No test of ours sees these holes in a program that an older release builds.
const fixed = "go1.26.6"

// builders say which Go builds what we ship. The image of the Dockerfile has to name a release to the last number: it uses the Go
// that it holds, whatever go.mod asks for.
var builders = map[string]*regexp.Regexp{
	"go.mod":             regexp.MustCompile(`(?m)^toolchain (go\S+)$`),
	"go.tool.mod":        regexp.MustCompile(`(?m)^toolchain (go\S+)$`),
	"e2e/cluster/go.mod": regexp.MustCompile(`(?m)^toolchain (go\S+)$`),
	"Dockerfile":         regexp.MustCompile(`(?m)^FROM golang:([0-9.]+)-`),
}

func TestToolchainHasTheRepairs(t *testing.T) {
	for path, named := range builders {
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindSubmatch(text)
		if found == nil {
			t.Errorf("%s does not say which Go builds", path)
			continue
		}
		release := string(found[1])
		if path == "Dockerfile" {
			release = "go" + release
		}
		if version.Compare(release, fixed) < 0 || version.Lang(release) == release {
			t.Errorf("%s has %s, want %s or newer, to the last number", path, release, fixed)
		}
	}
}
