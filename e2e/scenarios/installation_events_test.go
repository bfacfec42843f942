package scenarios

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestEvents changes the state of the mesh step by step and finds an Event of the Installation for each step; where nothing
// changes, there is none.
func TestEvents(t *testing.T) {
	t.Run("of the installation", func(t *testing.T) {
		heard(t, nil, "ReadyProgressing: Ready is False", "ReadyReady: Ready is True: the mesh can be used", "ReconciledApplied: ",
			"CertificatesHealthyValid: ", "SpecSupportedUnsupported: ", "HistoricImages: spec.istio.prefix: ",
			"PlaintextSecret: spec.kiali.password: ", "ComponentUnsupported: kiali is Unsupported")
		for _, name := range []string{"citadel", "pilot", "galley", "sidecarInjector", "istio-ingressgateway", "istio-egressgateway"} {
			heard(t, nil, "ComponentProgressing: "+name+" is Progressing", "ComponentReady: "+name+" is Ready: all pods are ready")
		}
	})
	t.Run("of nothing", quietWhileNothingChanges)
	t.Run("of a bad image and back", func(t *testing.T) {
		earlier := eventsNow(t)
		const image = "localhost:5000/nobody/mesh-operator:events"
		patchInstallation(within(t, 30*time.Second), t, `{"spec":{"components":{"galley":{"image":"`+image+`"}}}}`)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			if err := edit(ctx, `{"spec":{"components":null}}`); err != nil {
				t.Error(err)
			}
		})
		heard(t, earlier, "ComponentDegraded: galley is Degraded: image "+image+" cannot be pulled", "ReadyDegraded: Ready is False: galley: ")
		earlier = eventsNow(t)
		must(t, edit(within(t, 2*time.Minute), `{"spec":{"components":null}}`))
		heard(t, earlier, "ComponentReady: galley is Ready", "ReadyReady: Ready is True")
	})
	t.Run("of a component that is left out and comes back", func(t *testing.T) {
		earlier := eventsNow(t)
		change(t, `{"spec":{"components":{"galley":{"enabled":false}}}}`, `{"spec":{"components":null}}`)
		heard(t, earlier, "ComponentDisabled: galley is Disabled: enabled is false", "Pruned: deleted Deployment istio-system/istio-galley, which spec no longer asks for",
			"Pruned: deleted ValidatingWebhookConfiguration istio-galley")
		earlier = eventsNow(t)
		must(t, edit(within(t, 2*time.Minute), `{"spec":{"components":null}}`))
		heard(t, earlier, "ComponentProgressing: galley is Progressing", "ComponentReady: galley is Ready")
	})
	t.Run("of drift", func(t *testing.T) {
		earlier := eventsNow(t)
		webhooks := mesh.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		must(t, webhooks.Delete(within(t, 30*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		heard(t, earlier, "Restored: restored MutatingWebhookConfiguration istio-sidecar-injector, which had been deleted or changed")
		earlier = eventsNow(t)
		patch := []byte(`{"spec":{"template":{"spec":{"serviceAccountName":"default"}}}}`)
		_, err := mesh.Client.AppsV1().Deployments("istio-system").Patch(within(t, 30*time.Second), "istio-galley",
			types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
		must(t, err)
		heard(t, earlier, "Restored: restored Deployment istio-system/istio-galley, which somebody had changed")
		must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	})
}

// quietWhileNothingChanges makes the operator look again, several times, at a mesh that is as it should be.
func quietWhileNothingChanges(t *testing.T) {
	must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	dataPlaneSettled(t)
	earlier := eventsNow(t)
	for i := range 3 {
		looks, err := reconciles(within(t, 30*time.Second))
		must(t, err)
		version := patchInstallation(within(t, 30*time.Second), t, fmt.Sprintf(`{"metadata":{"annotations":{"example.com/look":"%d"}}}`, i))
		must(t, lab.Until(within(t, 30*time.Second), "the operator has looked again", func(ctx context.Context) error {
			now, err := reconciles(ctx)
			if err == nil && now <= looks {
				err = fmt.Errorf("%v reconciles, as before", now)
			}
			return err
		}))
		in, err := mesh.Installation(within(t, 30*time.Second))
		must(t, err)
		if in.GetResourceVersion() != version {
			t.Error("nothing changed, but the Installation was written")
		}
	}
	patchInstallation(within(t, 30*time.Second), t, `{"metadata":{"annotations":{"example.com/look":null}}}`)
	if more := since(earlier, eventsNow(t)); len(more) > 0 {
		t.Errorf("nothing changed, but there are Events: %q", more)
	}
}

// heard waits until there are Events that begin so, as "reason: message", and were not there earlier.
func heard(t *testing.T, earlier map[string]int, beginnings ...string) {
	t.Helper()
	for _, beginning := range beginnings {
		must(t, lab.Until(within(t, time.Minute), "an Event says "+beginning, func(ctx context.Context) error {
			now, err := events(ctx)
			if err != nil {
				return err
			}
			more := since(earlier, now)
			if !slices.ContainsFunc(more, func(e string) bool { return strings.HasPrefix(e, beginning) }) {
				return fmt.Errorf("there are only %q", more)
			}
			return nil
		}))
	}
}

// events counts the Events of the Installation, each as "reason: message".
func events(ctx context.Context) (map[string]int, error) {
	list, err := mesh.Client.CoreV1().Events("istio-operator").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Installation"})
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, e := range list.Items {
		out[e.Reason+": "+e.Message] += int(e.Count)
	}
	return out, nil
}

func eventsNow(t *testing.T) map[string]int {
	t.Helper()
	now, err := events(within(t, 30*time.Second))
	must(t, err)
	return now
}

// since returns the Events that happened more often now than earlier.
func since(earlier, now map[string]int) []string {
	var out []string
	for event, count := range now {
		if count > earlier[event] {
			out = append(out, event)
		}
	}
	slices.Sort(out)
	return out
}

// patchInstallation merges a patch and returns the resource version that this made.
func patchInstallation(ctx context.Context, t *testing.T, patch string) string {
	t.Helper()
	in, err := mesh.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator").Patch(ctx, "istio-installation",
		types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	return in.GetResourceVersion()
}

var reconcileTotal = regexp.MustCompile(`(?m)^controller_runtime_reconcile_total\{.*result="success".*\} (\S+)$`)

// reconciles is how often the operator has looked.
func reconciles(ctx context.Context) (float64, error) {
	pod, err := mesh.RunningPod(ctx, "istio-operator", "name=istio-operator")
	if err != nil {
		return 0, err
	}
	text, err := mesh.Client.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name + ":15014").
		SubResource("proxy").Suffix("metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	match := reconcileTotal.FindStringSubmatch(string(text))
	if match == nil {
		return 0, errors.New("the operator does not count its reconciles")
	}
	return strconv.ParseFloat(match[1], 64)
}
