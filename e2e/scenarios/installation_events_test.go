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

// TestInstallationEvents changes the state of the mesh step by step and finds an Event of the Installation for each step; where
// nothing changes, there is none.
func TestInstallationEvents(t *testing.T) {
	installation(t)
	t.Run("without a change", noEventsWithoutChange)
	t.Run("of an image that is not found, and back", func(t *testing.T) {
		earlier := eventsNow(t)
		const image = "localhost:5000/nobody/mesh-operator:events"
		restoreAtEnd(t)
		patchInstallation(t, `{"spec":{"components":{"galley":{"image":"`+image+`"}}}}`)
		eventuallyEvents(t, earlier, "ComponentDegraded: galley is Degraded: image "+image+" cannot be pulled", "ReadyDegraded: Ready is False: galley: ")
		earlier = eventsNow(t)
		restore(t)
		eventuallyEvents(t, earlier, "ComponentReady: galley is Ready", "ReadyReady: Ready is True")
	})
	t.Run("of a component that is disabled, and back", func(t *testing.T) {
		earlier := eventsNow(t)
		edit(t, `{"spec":{"components":{"galley":{"enabled":false}}}}`)
		eventuallyEvents(t, earlier, "ComponentDisabled: galley is Disabled: enabled is false", "Pruned: deleted Deployment istio-system/istio-galley, which spec no longer asks for",
			"Pruned: deleted ValidatingWebhookConfiguration istio-galley")
		earlier = eventsNow(t)
		restore(t)
		eventuallyEvents(t, earlier, "ComponentProgressing: galley is Progressing", "ComponentReady: galley is Ready")
	})
	t.Run("of drift", func(t *testing.T) {
		earlier := eventsNow(t)
		webhooks := mesh.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		must(t, webhooks.Delete(within(t, 30*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		eventuallyEvents(t, earlier, "Restored: restored MutatingWebhookConfiguration istio-sidecar-injector, which had been deleted or changed")
		earlier = eventsNow(t)
		patch := []byte(`{"spec":{"template":{"spec":{"serviceAccountName":"default"}}}}`)
		_, err := mesh.Client.AppsV1().Deployments("istio-system").Patch(within(t, 30*time.Second), "istio-galley",
			types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
		must(t, err)
		eventuallyEvents(t, earlier, "Restored: restored Deployment istio-system/istio-galley, which somebody had changed")
		must(t, settledMesh(within(t, 2*time.Minute)))
	})
}

// noEventsWithoutChange triggers several reconciles of a mesh that needs none.
func noEventsWithoutChange(t *testing.T) {
	must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	dataPlaneSettled(t)
	earlier := eventsNow(t)
	for i := range 3 {
		count, err := reconciles(within(t, 30*time.Second))
		must(t, err)
		version := patchInstallation(t, fmt.Sprintf(`{"metadata":{"annotations":{"example.com/trigger":"%d"}}}`, i)).GetResourceVersion()
		must(t, lab.Until(within(t, 30*time.Second), "the operator has reconciled again", func(ctx context.Context) error {
			now, err := reconciles(ctx)
			if err == nil && now <= count {
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
	patchInstallation(t, `{"metadata":{"annotations":{"example.com/trigger":null}}}`)
	if more := since(earlier, eventsNow(t)); len(more) > 0 {
		t.Errorf("nothing changed, but there are Events: %q", more)
	}
}

// eventuallyEvents waits for new Events whose "reason: message" begins with each of the texts.
func eventuallyEvents(t *testing.T, earlier map[string]int, beginnings ...string) {
	t.Helper()
	for _, beginning := range beginnings {
		must(t, lab.Until(within(t, 2*time.Minute), "there is an Event "+beginning, func(ctx context.Context) error {
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

var reconcileTotal = regexp.MustCompile(`(?m)^controller_runtime_reconcile_total\{.*result="success".*\} (\S+)$`)

// reconciles is the number of successful reconciles that the operator has counted.
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
