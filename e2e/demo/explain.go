package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	operatorNamespace = "istio-operator"

	shownEvents = 10 // a namespace
	shownLines  = 15 // a container
)

// explain prints why a step may have failed: the newest warnings, the last log lines of containers that are not ready and of
// the operator (a ready one may fail to reconcile), and where the cluster's own logs are.
func (d *demo) explain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, ns := range []string{operatorNamespace, "istio-system", bookinfo} {
		d.explainEvents(ctx, ns)
		d.explainPods(ctx, ns)
	}
	if d.name == existing {
		return
	}
	if status, err := d.lab.Cluster(ctx, "status", "--name", d.name); err == nil {
		fmt.Fprintf(d.out, "\nthe cluster's own logs:\n%s\n", status)
	}
}

func (d *demo) explainEvents(ctx context.Context, ns string) {
	events, err := d.lab.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil || len(events.Items) == 0 {
		return
	}
	d.heading("Warnings in %s", ns)
	for _, line := range newestLines(events.Items, shownEvents) {
		fmt.Fprintln(d.out, "  "+line)
	}
}

// newestLines formats the last few events, the newest at the end.
func newestLines(events []corev1.Event, most int) (lines []string) {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	for _, e := range events[max(0, len(events)-most):] {
		lines = append(lines, fmt.Sprintf("%s %s/%s %s: %s", lastSeen(e).Local().Format(time.TimeOnly), e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message))
	}
	return lines
}

// lastSeen is when an event was seen last. Writers of the two event APIs set different fields.
func lastSeen(e corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	seen := []time.Time{e.EventTime.Time, e.FirstTimestamp.Time, e.LastTimestamp.Time}
	if e.Series != nil {
		seen = append(seen, e.Series.LastObservedTime.Time)
	}
	for _, t := range seen {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func (d *demo) explainPods(ctx context.Context, ns string) {
	pods, err := d.lab.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		for _, container := range loggedContainers(p) {
			d.heading("Last log lines of %s/%s %s", ns, p.Name, container)
			lines := int64(shownLines)
			text, err := d.lab.Client.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{Container: container, TailLines: &lines}).DoRaw(ctx)
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Fprintf(d.out, "%s\n", text)
		}
	}
}

// loggedContainers are the containers of a pod whose log may hold the reason of a failure.
func loggedContainers(p *corev1.Pod) (names []string) {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		done := c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
		if !c.Ready && !done || p.Namespace == operatorNamespace {
			names = append(names, c.Name)
		}
	}
	return names
}
