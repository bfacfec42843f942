package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// EachObject visits every object of the API, in its preferred version.
func (l *Lab) EachObject(ctx context.Context, visit func(resource schema.GroupVersionResource, u *unstructured.Unstructured)) error {
	lists, err := l.Client.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return fmt.Errorf("list API resources: %w", err)
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || strings.Contains(r.Name, "/") {
				continue
			}
			if err := l.eachOf(ctx, gv.WithResource(r.Name), visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) eachOf(ctx context.Context, resource schema.GroupVersionResource, visit func(schema.GroupVersionResource, *unstructured.Unstructured)) error {
	items, err := l.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	for i := range items.Items {
		visit(resource, &items.Items[i])
	}
	return nil
}

// EachLog visits the log of every container of a namespace, and of its previous run if there was one.
func (l *Lab) EachLog(ctx context.Context, namespace string, visit func(pod, container, text string)) error {
	pods, err := l.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			for _, previous := range []bool{false, true} {
				if previous && c.RestartCount == 0 || c.State.Waiting != nil && !previous {
					continue
				}
				options := &corev1.PodLogOptions{Container: c.Name, Previous: previous}
				text, err := l.Client.CoreV1().Pods(namespace).GetLogs(p.Name, options).DoRaw(ctx)
				if apierrors.IsNotFound(err) {
					continue // the pod was deleted meanwhile
				}
				if err != nil {
					return fmt.Errorf("read log of %s/%s: %w", p.Name, c.Name, err)
				}
				visit(p.Name, c.Name, string(text))
			}
		}
	}
	return nil
}
