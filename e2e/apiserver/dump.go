package apiserver

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// ignoredResources kinds come and go by themselves, or are the cluster's shadows of others.
var ignoredResources = []string{"events", "leases", "endpointslices", "endpoints", "componentstatuses", "pods", "replicasets", "ipaddresses", "apiservices",
	"flowschemas", "prioritylevelconfigurations"}

// Dump is everything the API server holds, as YAML by "resource.group namespace/name", without what is different in any two
// runs: identities, times, addresses.
type Dump map[string]string

// Dump lists everything.
func (s *Server) Dump(ctx context.Context) (Dump, error) {
	lists, err := s.Client.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("list API resources: %w", err)
	}
	out := Dump{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || slices.Contains(ignoredResources, r.Name) || strings.Contains(r.Name, "/") {
				continue
			}
			if err := s.dump(ctx, gv.WithResource(r.Name), out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (s *Server) dump(ctx context.Context, resource schema.GroupVersionResource, out Dump) error {
	items, err := s.Dynamic.Resource(resource).List(ctx, everything)
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil // it has just been deleted
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	for i := range items.Items {
		u := &items.Items[i]
		text, err := normalized(u)
		if err != nil {
			return err
		}
		out[fmt.Sprintf("%s %s/%s", resource.GroupResource(), u.GetNamespace(), u.GetName())] = text
	}
	return nil
}

var (
	uuids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	addresses = regexp.MustCompile(`\b10\.0\.0\.\d+\b`)
	nodePorts = regexp.MustCompile(`nodePort: \d+`)
)

func normalized(u *unstructured.Unstructured) (string, error) {
	u = u.DeepCopy()
	for _, field := range []string{"resourceVersion", "creationTimestamp", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	fields := u.GetManagedFields()
	u.SetManagedFields(nil)
	if u.GetKind() != "Installation" {
		unstructured.RemoveNestedField(u.Object, "status")
	}
	text, err := yaml.Marshal(u.Object)
	if err != nil {
		return "", err
	}
	for _, f := range fields {
		if f.Manager == apply.FieldManager && f.Subresource == "" && f.FieldsV1 != nil {
			text = fmt.Appendf(text, "# %s %s\n", f.Operation, f.FieldsV1.GetRawString())
		}
	}
	for pattern, word := range map[*regexp.Regexp]string{uuids: "UID", times: "TIME", addresses: "ADDRESS"} {
		text = pattern.ReplaceAll(text, []byte(word))
	}
	return string(nodePorts.ReplaceAllFunc(text, givenPort)), nil
}

// givenPort hides a node port that the API server chose; gateways ask for the others.
func givenPort(field []byte) []byte {
	switch string(field) {
	case "nodePort: 31380", "nodePort: 31390", "nodePort: 31400":
		return field
	}
	return []byte("nodePort: ANY")
}
