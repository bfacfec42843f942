package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// lifecycle is the state that the steps of TestRemovalLifecycle share.
type lifecycle struct {
	before  []string  // objects of the empty cluster
	began   time.Time // of the installation; earlier requests in the audit log do not count
	root    string    // fingerprint of the root of trust
	granted grants
}

// TestRemovalLifecycle does what an admin does with the operator from its installation to its removal: install the mesh, run an
// application, change the resource, remove the mesh while sidecars run, install it again, remove everything.
func TestRemovalLifecycle(t *testing.T) {
	l := &lifecycle{before: emptyCluster(t), began: time.Now()}
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"install the operator", l.installOperator},
		{"create the resource of the article", l.createInstallation},
		{"Events of the installation", installationEvents},
		{"kubectl get and explain", kubectlOutput},
		{"run Bookinfo", l.runBookinfo},
		{"Event of an injection warning", injectionWarning},
		{"turn optional parts on and off", l.optionalParts},
		{"remove the mesh while sidecars run", l.removeUnderSidecars},
		{"install the mesh again", l.installAgain},
		{"remove the mesh without sidecars", l.removeWithoutSidecars},
		{"permissions", func(t *testing.T) { l.granted.checkUsed(t, l.began) }},
		{"remove the operator", l.removeOperator},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow() // the following steps need this one
		}
	}
}

func (l *lifecycle) installOperator(t *testing.T) {
	installOperator(t, "--server-side")
	eventuallyLogs(t, "istio-operator", "name=istio-operator", "", // the line of the article
		"Watching resource istio.openshift.com/v1alpha1, kind Installation, namespace istio-operator, resyncPeriod 0")
}

func (l *lifecycle) createInstallation(t *testing.T) {
	started := time.Now()
	must(t, applyInstallation(within(t, 30*time.Second)))
	must(t, mesh.InstallationReady(within(t, 5*time.Minute)))
	t.Logf("create to Ready: %.1fs", time.Since(started).Seconds())
	eventuallyLogs(t, "istio-operator", "name=istio-operator", "", "Installing istio for Installation istio-installation")
	must(t, mesh.Available(within(t, time.Minute), "istio-system"))
	for _, app := range []string{"istio=citadel", "istio=pilot", "istio=galley", "istio=sidecar-injector", "istio=ingressgateway", "istio=egressgateway"} {
		if _, err := mesh.RunningPod(within(t, 10*time.Second), "istio-system", app); err != nil {
			t.Error(err)
		}
	}
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	images, _, _ := unstructured.NestedStringSlice(in.Object, "status", "images")
	if text := strings.Join(images, " "); len(images) != 2 || !strings.Contains(text, "/mesh-operator") ||
		!strings.Contains(text, "/proxyv2") {
		t.Errorf("status.images is %v, want one each of mesh-operator and proxyv2", images)
	}
	l.root = fingerprint(t)
	l.granted = grantedPermissions(t)
}

func installationEvents(t *testing.T) {
	eventuallyEvents(t, nil, "ReadyProgressing: Ready is False", "ReadyReady: Ready is True: the mesh can be used", "ReconciledApplied: ",
		"CertificatesHealthyValid: ", "SpecSupportedUnsupported: ", "HistoricImages: spec.istio.prefix: ",
		"PlaintextSecret: spec.kiali.password: ", "ComponentUnsupported: kiali is Unsupported")
	for _, name := range []string{"citadel", "pilot", "galley", "sidecarInjector", "istio-ingressgateway", "istio-egressgateway"} {
		eventuallyEvents(t, nil, "ComponentProgressing: "+name+" is Progressing", "ComponentReady: "+name+" is Ready: all pods are ready")
	}
}

func kubectlOutput(t *testing.T) {
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "-n", "istio-operator", "inst")
	must(t, err)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	want := [][]string{{"NAME", "READY", "REASON", "VERSION", "AGE"}, {"istio-installation", "True", "Ready", version.Version}}
	if len(lines) != 2 || !slices.Equal(strings.Fields(lines[0]), want[0]) || !slices.Equal(strings.Fields(lines[1])[:4], want[1]) {
		t.Errorf("want the columns %v, and %v:\n%s", want[0], want[1], text)
	}
	text, err = mesh.Kubectl(within(t, 30*time.Second), "explain", "installation.spec.istio")
	must(t, err)
	for _, field := range []string{"authentication", "community", "prefix", "version"} {
		if !strings.Contains(text, field) {
			t.Errorf("explain does not mention %s:\n%s", field, text)
		}
	}
}

func (l *lifecycle) runBookinfo(t *testing.T) {
	must(t, ensureNamespace(within(t, time.Minute), bookinfo, injected))
	deploy(t, bookinfo, append(bookinfoFiles, "samples/bookinfo/bookinfo-gateway.yaml")...)
	must(t, opensPage(within(t, 2*time.Minute), site{namespace: bookinfo}))
}

// injectionWarning gives the pods of a Deployment an annotation without effect: an Event of their ReplicaSet reports it.
func injectionWarning(t *testing.T) {
	patch := []byte(`{"spec":{"template":{"metadata":{"annotations":{"sidecar.istio.io/agentLogLevel":"debug"}}}}}`)
	_, err := mesh.Client.AppsV1().Deployments(bookinfo).Patch(within(t, 30*time.Second), "ratings-v1", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "an Event reports the annotation", func(ctx context.Context) error {
		events, err := mesh.Client.CoreV1().Events(bookinfo).List(ctx, metav1.ListOptions{FieldSelector: "reason=InjectionWarning,involvedObject.kind=ReplicaSet"})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("no Event")
		}
		return err
	}))
}

// optionalParts makes the operator create and delete the kinds of objects that the sample does not need.
func (l *lifecycle) optionalParts(t *testing.T) {
	t.Run("on", func(t *testing.T) {
		edit(t, `{"spec":{"components":{"pilot":{"autoscaling":{"minReplicas":1,"maxReplicas":2},"podDisruptionBudget":{"minAvailable":1}}},
			"gateways":[{"name":"my-gateway","type":"Ingress","service":{"ports":[{"name":"http","port":8088}]}}],
			"prometheus":{"enabled":true,"volume":{"size":"1Gi"}},"jaeger":{"enabled":true}}}`)
	})
	if _, err := mesh.Client.CoreV1().PersistentVolumeClaims("istio-system").Get(within(t, 30*time.Second), "prometheus", metav1.GetOptions{}); err != nil {
		t.Errorf("the claim that spec does not ask for any more: %v", err)
	}
	_, err := mesh.Kubectl(within(t, 30*time.Second), "patch", "-n", "istio-operator", "installation", "istio-installation", "--type=merge",
		"-p", `{"spec":{"uninstall":{"data":"Delete"}}}`)
	must(t, err)
	must(t, mesh.Client.CoreV1().Secrets("istio-system").Delete(within(t, 30*time.Second), "istio-ca-secret", metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "citadel restores its root", func(ctx context.Context) error {
		_, err := mesh.Client.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
		return err
	}))
}

// removeUnderSidecars deletes the resource while pods run sidecars: nothing of ours is left but their root of trust, and
// everything of the users is.
func (l *lifecycle) removeUnderSidecars(t *testing.T) {
	must(t, mesh.Apply(within(t, 30*time.Second), "istio-system", `
apiVersion: v1
kind: ConfigMap
metadata: {name: users-own}
data: {a: b}
`))
	deleteInstallation(t)
	meshIsGone(t)
	namesRunningSidecars(t)
	ctx := within(t, time.Minute)
	if _, err := mesh.Client.CoreV1().ConfigMaps("istio-system").Get(ctx, "users-own", metav1.GetOptions{}); err != nil {
		t.Errorf("the user's ConfigMap in istio-system: %v", err)
	}
	text, err := mesh.Kubectl(ctx, "get", "virtualservices", "-n", bookinfo, "-o", "name")
	if err != nil || !strings.Contains(text, "bookinfo") {
		t.Errorf("the user's VirtualServices: %q, %v", text, err)
	}
	must(t, mesh.Client.CoreV1().ConfigMaps("istio-system").Delete(ctx, "users-own", metav1.DeleteOptions{}))
	secret, err := mesh.Client.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
	must(t, err)
	if len(secret.Labels) > 0 {
		t.Errorf("the root that stays has labels: %v", secret.Labels)
	}
}

// namesRunningSidecars reads the Events of a removal: which pods run a sidecar, and what to do.
func namesRunningSidecars(t *testing.T) {
	t.Helper()
	for _, reason := range []string{"ReadyRemoving", "SidecarsRunning"} {
		text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "events", "-n", "istio-operator", "--field-selector", "reason="+reason, "-o", "jsonpath={.items[*].message}")
		if err != nil || !strings.Contains(text, "pods still run a sidecar: "+bookinfo+"/") || !strings.Contains(text, "kubectl rollout restart") {
			t.Errorf("Event %s about running sidecars: %q, %v", reason, text, err)
		}
		if next := "kubectl delete secret -n istio-system istio-ca-secret"; reason == "SidecarsRunning" && !strings.Contains(text, next) {
			t.Errorf("Event %s lacks %s: %q", reason, next, text)
		}
	}
}

// installAgain installs the mesh for the sidecars that still run: with the same root, they connect to it without a restart.
func (l *lifecycle) installAgain(t *testing.T) {
	before, err := mesh.Client.CoreV1().Pods(bookinfo).List(within(t, 30*time.Second), metav1.ListOptions{})
	must(t, err)
	must(t, applyInstallation(within(t, 30*time.Second)))
	must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
	if again := fingerprint(t); again != l.root {
		t.Errorf("the root is %s, and was %s", again, l.root)
	}
	must(t, opensPage(within(t, 2*time.Minute), site{namespace: bookinfo}))
	for i := range before.Items {
		stillRuns(t, &before.Items[i])
	}
	dataPlaneSettled(t) // all of them are connected to the new control plane
}

func stillRuns(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	now, err := mesh.Client.CoreV1().Pods(pod.Namespace).Get(within(t, 30*time.Second), pod.Name, metav1.GetOptions{})
	if err != nil || now.UID != pod.UID {
		t.Errorf("pod %s was replaced: %v", pod.Name, err)
	}
}

// removeWithoutSidecars ends all pods with a sidecar and removes the mesh: the root, and the namespace that the operator
// created at first, are deleted too.
func (l *lifecycle) removeWithoutSidecars(t *testing.T) {
	_, err := mesh.Kubectl(within(t, time.Minute), "scale", "deployment", "-n", bookinfo, "--all", "--replicas=0")
	must(t, err)
	must(t, lab.Until(within(t, 2*time.Minute), "no pod has a sidecar", func(ctx context.Context) error {
		pods, err := mesh.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			if p.Annotations["sidecar.istio.io/status"] != "" {
				return fmt.Errorf("%s/%s runs", p.Namespace, p.Name)
			}
		}
		return nil
	}))
	deleteInstallation(t)
	meshIsGone(t)
	_, err = mesh.Client.CoreV1().Namespaces().Get(within(t, 30*time.Second), "istio-system", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("namespace istio-system, which the operator created, still exists: %v", err)
	}
}

// removeOperator deletes the operator and compares the API with the empty cluster.
func (l *lifecycle) removeOperator(t *testing.T) {
	must(t, deleteOperator(within(t, 3*time.Minute)))
	operatorIsGone(t)
	must(t, mesh.DeleteNamespace(within(t, 30*time.Second), bookinfo))
	if err := lab.Changes(l.before, snapshot(t), istioCRD); err != nil {
		t.Error(err)
	}
}

// fingerprint is that of the root of trust in the Installation's status.
func fingerprint(t *testing.T) string {
	t.Helper()
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	certificates, _, _ := unstructured.NestedSlice(in.Object, "status", "certificates")
	if len(certificates) != 1 {
		t.Fatalf("status.certificates has %d roots", len(certificates))
	}
	root, _ := certificates[0].(map[string]any)
	text, _ := root["fingerprint"].(string)
	return text
}
