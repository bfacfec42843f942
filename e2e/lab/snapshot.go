package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
)

// transient kinds are left out of snapshots: the cluster creates and deletes them by itself, or they are derived from other
// objects, as the address of a Service or a served version.
var transient = []string{"events", "leases", "endpointslices", "endpoints", "componentstatuses", "pods", "replicasets", "controllerrevisions", "nodes", "csinodes",
	"ipaddresses", "apiservices"}

// Snapshot lists every object of the API as "resource.group namespace/name", transient kinds left out.
func (l *Lab) Snapshot(ctx context.Context) ([]string, error) {
	lists, err := l.Client.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("list API resources: %w", err)
	}
	client, err := metadata.NewForConfig(l.Config)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || slices.Contains(transient, r.Name) || strings.Contains(r.Name, "/") {
				continue
			}
			names, err := names(ctx, client, gv.WithResource(r.Name))
			if err != nil {
				return nil, err
			}
			out = append(out, names...)
		}
	}
	slices.Sort(out)
	return out, nil
}

func names(ctx context.Context, client metadata.Interface, resource schema.GroupVersionResource) ([]string, error) {
	items, err := client.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	var out []string
	for _, item := range items.Items {
		out = append(out, fmt.Sprintf("%s %s/%s", resource.GroupResource(), item.Namespace, item.Name))
	}
	return out, nil
}

// Changes compares two snapshots; objects for which except is true do not count.
func Changes(before, after []string, except func(object string) bool) error {
	var out []string
	for _, object := range after {
		if !slices.Contains(before, object) && !except(object) {
			out = append(out, "new: "+object)
		}
	}
	for _, object := range before {
		if !slices.Contains(after, object) && !except(object) {
			out = append(out, "gone: "+object)
		}
	}
	if len(out) > 0 {
		return fmt.Errorf("the API changed: %s", strings.Join(out, "; "))
	}
	return nil
}
