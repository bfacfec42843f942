package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Slack multiplies the deadlines of tests. They are chosen for a machine that does nothing else, and CI runs several clusters on two
// cores. A deadline only ends a test that fails: what it takes is measured in bench/.
const Slack = 3

// Until calls check until it succeeds; when ctx ends first, the error of its last call is the reason.
func Until(ctx context.Context, what string, check func(context.Context) error) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("not checked yet")
	for {
		if err := check(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, last)
		case <-tick.C:
		}
	}
}

// InstallationResource is the API resource of Installations.
var InstallationResource = schema.GroupVersionResource{Group: "istio.openshift.com", Version: "v1alpha1", Resource: "installations"}

// Installation returns the one Installation.
func (l *Lab) Installation(ctx context.Context) (*unstructured.Unstructured, error) {
	return l.Dynamic.Resource(InstallationResource).Namespace("istio-operator").Get(ctx, "istio-installation", metav1.GetOptions{})
}

// InstallationReady waits until the Installation's Ready condition is true for its current generation.
func (l *Lab) InstallationReady(ctx context.Context) error {
	return Until(ctx, "the Installation is Ready", func(ctx context.Context) error {
		in, err := l.Installation(ctx)
		if err != nil {
			return err
		}
		status, reason := Condition(in, "Ready")
		if observed, _, _ := unstructured.NestedInt64(in.Object, "status", "observedGeneration"); observed < in.GetGeneration() {
			return fmt.Errorf("generation %d is not observed yet", in.GetGeneration())
		}
		if status != "True" {
			return fmt.Errorf("condition Ready is %q: %s", status, reason)
		}
		return nil
	})
}

// Condition returns the status and "reason: message" of a condition.
func Condition(u *unstructured.Unstructured, kind string) (status, reason string) {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == kind {
			return fmt.Sprint(m["status"]), fmt.Sprintf("%v: %v", m["reason"], m["message"])
		}
	}
	return "", "no such condition"
}

// Available waits until every Deployment of namespace has all its replicas updated and available.
func (l *Lab) Available(ctx context.Context, namespace string) error {
	return Until(ctx, "all Deployments of "+namespace+" are available", func(ctx context.Context) error {
		list, err := l.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var waiting []string
		for i := range list.Items {
			if d := &list.Items[i]; !available(d) {
				waiting = append(waiting, d.Name)
			}
		}
		if len(waiting) > 0 {
			return fmt.Errorf("not available: %s%s", strings.Join(waiting, ", "), l.Why(ctx, namespace))
		}
		return nil
	})
}

func available(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
}

// Why collects the kubelet's messages about containers that do not run in namespace.
func (l *Lab) Why(ctx context.Context, namespace string) string {
	pods, err := l.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	var out strings.Builder
	for _, p := range pods.Items {
		for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating" {
				fmt.Fprintf(&out, "; %s/%s %s: %s", p.Name, c.Name, w.Reason, w.Message)
			}
		}
	}
	return out.String()
}

// Gone waits until get returns a NotFound error.
func Gone(ctx context.Context, what string, get func(context.Context) error) error {
	return Until(ctx, what+" is gone", func(ctx context.Context) error {
		err := get(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			return errors.New("it still exists")
		}
		return err
	})
}

// EnsureNamespace creates a namespace with labels, or adds the labels to it.
func (l *Lab) EnsureNamespace(ctx context.Context, name string, labels map[string]string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	_, err := l.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var current *corev1.Namespace
		if current, err = l.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		for k, v := range labels {
			metav1.SetMetaDataLabel(&current.ObjectMeta, k, v)
		}
		_, err = l.Client.CoreV1().Namespaces().Update(ctx, current, metav1.UpdateOptions{})
	}
	return err
}

// DeleteNamespace starts the deletion of a namespace; that it does not exist is no error.
func (l *Lab) DeleteNamespace(ctx context.Context, name string) error {
	err := l.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
