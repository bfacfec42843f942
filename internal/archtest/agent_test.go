package archtest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// agentModules may be linked into mesh-agent, with everything below them. Every pod of a mesh runs it: client-go, the messages of
// Envoy's API or Helm would cost tens of megabytes in each.
var agentModules = []string{
	"github.com/mesh-operator/mesh-operator",
	"github.com/google/nftables",   // redirect: rules over netlink
	"github.com/mdlayher",          // nftables
	"github.com/vishvananda",       // redirect: addresses and network namespaces
	"github.com/prometheus/common", // the merge of the application's metrics
	"github.com/prometheus/client_model",
	"github.com/munnerz/goautoneg", // prometheus/common
	"github.com/spf13",             // flags
	"github.com/spiffe/go-spiffe",  // identities
	"golang.org/x",                 // gRPC, netlink
	"google.golang.org/grpc",       // citadel, pilot, SDS
	"google.golang.org/protobuf",   // gRPC
	"google.golang.org/genproto/googleapis/rpc",
}

// TestAgentLinksFewPackages compares what the command links with the list. A new package needs a line with its reason.
func TestAgentLinksFewPackages(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./cmd/mesh-agent")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	used := map[string]bool{}
	for _, path := range packages {
		i := slices.IndexFunc(agentModules, func(prefix string) bool { return within(path, prefix) })
		if i < 0 {
			t.Errorf("mesh-agent links %s, which is not on the list", path)
			continue
		}
		used[agentModules[i]] = true
	}
	for _, prefix := range agentModules {
		if !used[prefix] {
			t.Errorf("mesh-agent links nothing of %s any more: take it off the list", prefix)
		}
	}
}
