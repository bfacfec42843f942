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

// TestDemo runs the demo as for a cluster of the user's own and takes it back: its screen proves what it says, and the
// cluster is as it was.
func TestDemo(t *testing.T) {
	before := snapshot(t)
	screen := demo(t, "up")
	for _, line := range []string{
		fmt.Sprintf("using the context %q", mesh.Name),
		"reviews v1", "reviews v2", "reviews v3",
		"istio-ingressgateway-service-account",
		"→ spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews",
		"bookinfo http://",
	} {
		if !strings.Contains(screen, line) {
			t.Errorf("the screen lacks %q:\n%s", line, screen)
		}
	}
	if again := demo(t, "urls"); !strings.Contains(again, "/productpage") {
		t.Errorf("urls: %q", again)
	}
	demo(t, "down")
	must(t, lab.Until(within(t, 2*time.Minute), "the cluster is as it was", func(ctx context.Context) error {
		after, err := mesh.Snapshot(ctx)
		if err != nil {
			return err
		}
		return lab.Changes(before, after, nothing)
	}))
}

// demo runs the demo's command as the owner of some cluster would: with a kubeconfig and a kubectl, and nothing else of ours.
func demo(t *testing.T, command string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	kubectl := fmt.Sprintf("%s kubectl --name %s --", filepath.Join(root, ".bin", "cluster"), mesh.Name)
	run := exec.CommandContext(within(t, 6*time.Minute), "go", "run", "./e2e/demo", command, "--name", "existing")
	run.Dir = root
	run.Env = append(os.Environ(), "KUBECONFIG="+mesh.Kubeconfig, "KUBECTL="+kubectl)
	var out, failures bytes.Buffer
	run.Stdout, run.Stderr = &out, &failures
	if err := run.Run(); err != nil {
		t.Fatalf("demo %s: %v\n%s\n%s", command, err, out.String(), failures.String())
	}
	return out.String()
}
