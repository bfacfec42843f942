package injector

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
)

func warnedPod(name string, created time.Time, controller string) *metav1.PartialObjectMetadata {
	pod := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(created),
			Labels: map[string]string{warningsLabel: "true"}, Annotations: map[string]string{warningsAnnotation: "annotation a has no effect"},
		},
	}
	if controller != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: controller, UID: "uid-of-rs", Controller: new(true)}}
	}
	return pod
}

// TestControllerGetsOneEvent: the pods of a controller give one Event about it, however many there are; a pod without a controller
// and one that is older than an Event lives give none.
func TestControllerGetsOneEvent(t *testing.T) {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		pods := metadatafake.NewSimpleMetadataClient(scheme,
			warnedPod("a", now, "web-7d9"), warnedPod("b", now.Add(-time.Minute), "web-7d9"), warnedPod("alone", now, ""),
			warnedPod("old", now.Add(-2*time.Hour), "old-5c4"))
		api := fake.NewClientset()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newWarningReporter(pods, api.CoreV1(), slog.New(slog.DiscardHandler)).run(ctx) }()
		synctest.Wait()
		list, err := api.CoreV1().Events("shop").List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(list.Items) != 1 {
			t.Fatalf("%d Events, want 1: %v", len(list.Items), list.Items)
		}
		event := list.Items[0]
		want := corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web-7d9", UID: "uid-of-rs"}
		if event.InvolvedObject != want || event.Message != "annotation a has no effect" || event.Type != corev1.EventTypeWarning {
			t.Errorf("Event %+v", event)
		}
	})
}

// TestWarningEventFitsTheAPI: a long message is cut at a character, and a long name stays a valid one.
func TestWarningEventFitsTheAPI(t *testing.T) {
	pod := warnedPod("a", time.Now(), strings.Repeat("a", 199)+"."+strings.Repeat("b", 50))
	pod.Annotations[warningsAnnotation] = strings.Repeat("é", 1000) + "x"
	event := warningEvent(pod, time.Now())
	if len(event.Message) > 1024 || !strings.HasSuffix(event.Message, "é") {
		t.Errorf("message of %d bytes", len(event.Message))
	}
	if len(event.Name) > 253 || strings.Contains(event.Name, "..") {
		t.Errorf("name %s", event.Name)
	}
}
