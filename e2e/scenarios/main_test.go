// Package scenarios tests the product on a real Kubernetes node with real Envoys. Each scenario is one test function, runs
// alone or with any others, and begins with a call that states what it needs:
//
//	readyMesh(t)     a Ready mesh of the sample Installation, which the scenario leaves as it is. Runs in parallel.
//	installation(t)  the same mesh, whose Installation the scenario edits; the sample is restored afterwards. Runs alone.
//	emptyCluster(t)  a cluster without the operator and without Istio's CRDs. Runs alone.
//
// The three kinds run on three clusters, and the name says which: TestInstallation... edits the Installation, TestRemoval...
// begins on an empty cluster, all others share a mesh. See CONTRIBUTING.md for a template.
package scenarios

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// mesh is the cluster that the scenarios run on.
var mesh *lab.Lab

func TestMain(m *testing.M) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := os.Getenv("MESH_CLUSTER")
	if name == "" {
		fmt.Fprintln(os.Stderr, "the scenarios need a local cluster: run them with make test-scenarios")
		os.Exit(1)
	}
	var err error
	if mesh, err = lab.Open(ctx, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if path := os.Getenv("MESH_TIMES"); path != "" {
		if err := durations.write(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// within returns a context that bounds one step of a scenario.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slack*limit)
	t.Cleanup(cancel)
	return ctx
}

// atEnd runs a step when the scenario is over, also after a failure, with a context of its own.
func atEnd(t *testing.T, limit time.Duration, step func(ctx context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*limit)
		defer cancel()
		if err := step(ctx); err != nil {
			t.Error(err)
		}
	})
}

// must ends the scenario on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scenarioName is the name of the test function that t belongs to.
func scenarioName(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}
