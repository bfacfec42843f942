package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestRemovalDemo runs the demo as for an existing cluster and removes it: its output has the facts it should, and the cluster
// has the same objects as before.
func TestRemovalDemo(t *testing.T) {
	before := emptyCluster(t)
	output := demo(t, "up")
	for _, line := range []string{
		fmt.Sprintf("using the context %q", mesh.Name),
		"reviews v1", "reviews v2", "reviews v3",
		"istio-ingressgateway-service-account",
		"→ spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews",
		"bookinfo http://", "Grafana: http://localhost:3000", "→ ratings-v1", "ratings.bookinfo.svc.cluster.local:9080/*",
	} {
		if !strings.Contains(output, line) {
			t.Errorf("the output lacks %q:\n%s", line, output)
		}
	}
	if again := demo(t, "urls"); !strings.Contains(again, "/productpage") {
		t.Errorf("urls: %q", again)
	}
	demo(t, "down")
	must(t, lab.Until(within(t, 2*time.Minute), "the cluster has the same objects as before", func(ctx context.Context) error {
		after, err := mesh.Snapshot(ctx)
		if err != nil {
			return err
		}
		return lab.Changes(before, after, noObject)
	}))
}

// demo runs the demo's command as for an existing cluster: with a kubeconfig and a kubectl.
func demo(t *testing.T, command string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	kubectl := fmt.Sprintf("%s kubectl --name %s --", filepath.Join(root, ".bin", "cluster"), mesh.Name)
	run := exec.CommandContext(within(t, 8*time.Minute), "go", "run", "./e2e/demo", command, "--name", "existing", "--operator", lab.Operator)
	run.Dir = root
	run.Env = append(os.Environ(), "KUBECONFIG="+mesh.Kubeconfig, "KUBECTL="+kubectl)
	var out, failures bytes.Buffer
	run.Stdout, run.Stderr = &out, &failures
	if err := run.Run(); err != nil {
		t.Fatalf("demo %s: %v\n%s\n%s", command, err, out.String(), failures.String())
	}
	return out.String()
}
