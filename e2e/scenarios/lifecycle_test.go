package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// before is every object of the API before anything of ours was there; TestNothingLeft compares.
var before []string

// begun is when the install began; what a cluster that is kept went through before is no matter of TestPermissionsUsed.
var begun time.Time

// TestInstall is the first thing an admin does: apply the operator, create the full resource of the article, wait.
func TestInstall(t *testing.T) {
	begun = time.Now()
	before = snapshot(t)
	installOperator(t, "--server-side")

	t.Run("the operator says what it watches", func(t *testing.T) {
		must(t, lab.Until(within(t, 30*time.Second), "the line of the article is in the log", logHas(
			"Watching resource istio.openshift.com/v1alpha1, kind Installation, namespace istio-operator, resyncPeriod 0")))
	})

	started := time.Now()
	must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation.yaml"))
	must(t, mesh.InstallationReady(within(t, 5*time.Minute)))
	t.Logf("create to Ready: %.1fs", time.Since(started).Seconds())

	t.Run("the operator says that it installs", func(t *testing.T) {
		must(t, lab.Until(within(t, 10*time.Second), "the line of the article is in the log", logHas("Installing istio for Installation istio-installation")))
	})
	t.Run("the pods of the article run", podsOfTheArticle)
	t.Run("kubectl get shows state", func(t *testing.T) {
		text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "-n", "istio-operator", "inst")
		must(t, err)
		lines := strings.Split(strings.TrimSpace(text), "\n")
		want := [][]string{{"NAME", "READY", "REASON", "VERSION", "AGE"}, {"istio-installation", "True", "Ready", version.Version}}
		if len(lines) != 2 || !slices.Equal(strings.Fields(lines[0]), want[0]) || !slices.Equal(strings.Fields(lines[1])[:4], want[1]) {
			t.Errorf("want the columns %v, and %v:\n%s", want[0], want[1], text)
		}
	})
	t.Run("kubectl explain teaches", func(t *testing.T) {
		text, err := mesh.Kubectl(within(t, 30*time.Second), "explain", "installation.spec.istio")
		must(t, err)
		for _, field := range []string{"authentication", "community", "prefix", "version"} {
			if !strings.Contains(text, field) {
				t.Errorf("explain does not mention %s:\n%s", field, text)
			}
		}
	})
}

// installOperator applies config/default, with flags of kubectl apply.
func installOperator(t *testing.T, flags ...string) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, time.Minute), append([]string{"apply", "-k", "config/default"}, flags...)...)
	must(t, err)
	must(t, mesh.Available(within(t, 3*time.Minute), "istio-operator"))
}

func podsOfTheArticle(t *testing.T) {
	must(t, mesh.Available(within(t, time.Minute), "istio-system"))
	for _, app := range []string{"istio=citadel", "istio=pilot", "istio=galley", "istio=sidecar-injector", "istio=ingressgateway", "istio=egressgateway"} {
		if _, err := mesh.RunningPod(within(t, 10*time.Second), "istio-system", app); err != nil {
			t.Error(err)
		}
	}
}
