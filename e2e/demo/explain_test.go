package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNewestEventsComeLast covers every field with a time: events of events.k8s.io have no LastTimestamp.
func TestNewestEventsComeLast(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.Local)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	event := func(reason string, change func(*corev1.Event)) corev1.Event {
		e := corev1.Event{Reason: reason, Message: "m", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p"}}
		e.CreationTimestamp = metav1.NewTime(noon)
		change(&e)
		return e
	}
	events := []corev1.Event{
		event("Series", func(e *corev1.Event) {
			e.EventTime = metav1.NewMicroTime(at(1))
			e.Series = &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(at(9))}
		}),
		event("EventTime", func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(at(6)) }),
		event("Last", func(e *corev1.Event) {
			e.FirstTimestamp, e.LastTimestamp = metav1.NewTime(at(2)), metav1.NewTime(at(8))
		}),
		event("Created", func(e *corev1.Event) { e.CreationTimestamp = metav1.NewTime(at(7)) }),
		event("Old", func(e *corev1.Event) { e.LastTimestamp = metav1.NewTime(at(3)) }),
	}
	got := newestLines(events, 4)
	want := []string{"12:06:00 Pod/p EventTime: m", "12:07:00 Pod/p Created: m", "12:08:00 Pod/p Last: m", "12:09:00 Pod/p Series: m"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLoggedContainers expects containers that are not ready, and every container of the operator.
func TestLoggedContainers(t *testing.T) {
	container := func(name string, ready bool, ended ...int32) corev1.ContainerStatus {
		c := corev1.ContainerStatus{Name: name, Ready: ready}
		for _, code := range ended {
			c.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: code}
		}
		return c
	}
	for namespace, want := range map[string]string{"istio-operator": "done failed proxy ready waiting", "bookinfo": "failed waiting"} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}, Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{container("done", false, 0), container("failed", false, 1), container("proxy", true)},
			ContainerStatuses:     []corev1.ContainerStatus{container("ready", true), container("waiting", false)},
		}}
		if got := strings.Join(loggedContainers(p), " "); got != want {
			t.Errorf("of a pod in %s: %s, want %s", namespace, got, want)
		}
	}
}

// TestImagesFromRegistry: images of this repository are taken from the registry, others stay.
func TestImagesFromRegistry(t *testing.T) {
	const manifest = "image: quay.io/mesh-operator/bookinfo:0.1.0\nimage: docker.io/other/thing:1\n"
	for registry, want := range map[string]string{
		"":                      manifest,
		"registry.example/mesh": "image: registry.example/mesh/bookinfo:0.1.0\nimage: docker.io/other/thing:1\n",
	} {
		if got := (&demo{registry: registry}).fromRegistry(manifest); got != want {
			t.Errorf("%q: %q, want %q", registry, got, want)
		}
	}
}
