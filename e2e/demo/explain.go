package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// explain prints why a step may have failed: warnings of the last minutes and the last log lines of pods that are not
// ready.
func (d *demo) explain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, ns := range []string{"istio-operator", "istio-system", bookinfo} {
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
	items := events.Items
	slices.SortFunc(items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	for _, e := range items[max(0, len(items)-10):] {
		fmt.Fprintf(d.out, "  %s/%s %s: %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

func (d *demo) explainPods(ctx context.Context, ns string) {
	pods, err := d.lab.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, p := range pods.Items {
		for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			if c.Ready || c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
				continue
			}
			d.heading("Last log lines of %s/%s %s", ns, p.Name, c.Name)
			lines := int64(15)
			text, err := d.lab.Client.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{Container: c.Name, TailLines: &lines}).DoRaw(ctx)
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Fprintf(d.out, "%s\n", text)
		}
	}
}
