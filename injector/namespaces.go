package injector

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/internal/ratelimit"
)

var namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

var errTooMany = errors.New("too many questions about unknown namespaces from one address")

// namespaces knows the labels of namespaces from a watch of their metadata.
type namespaces struct {
	client   metadata.Interface
	factory  metadatainformer.SharedInformerFactory
	informer cache.SharedIndexInformer
	unknown  *ratelimit.Limiter // of questions that cost a request
}

func newNamespaces(client metadata.Interface) *namespaces {
	factory := metadatainformer.NewSharedInformerFactory(client, 0)
	return &namespaces{client, factory, factory.ForResource(namespaceResource).Informer(), ratelimit.New(unknownPerSecond, unknownBurst, knownCallers)}
}

// run watches until ctx ends.
func (n *namespaces) run(ctx context.Context) error {
	n.factory.Start(ctx.Done())
	<-ctx.Done()
	n.factory.Shutdown()
	return nil
}

func (n *namespaces) synced() bool { return n.informer.HasSynced() }

// labels returns the labels of a namespace. One that the watch has not shown yet is asked for: the first pod of a new
// namespace often comes right behind it, and would stay without a sidecar. An answer is not kept, not even that there is no
// such namespace: it may be created at any time. Every client in the cluster reaches the webhook, so each caller's
// questions are rate limited instead, and an untrusted client's do not delay the API server's.
func (n *namespaces) labels(ctx context.Context, name string) (map[string]string, error) {
	item, found, err := n.informer.GetStore().GetByKey(name)
	if err == nil && found {
		return item.(*metav1.PartialObjectMetadata).Labels, nil
	}
	if !n.unknown.Allow(callerOf(ctx), time.Now()) {
		return nil, fmt.Errorf("get namespace %s: %w", name, errTooMany)
	}
	object, err := n.client.Resource(namespaceResource).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // dry runs name namespaces that do not exist
	}
	if err != nil {
		return nil, fmt.Errorf("get namespace %s: %w", name, err)
	}
	return object.Labels, nil
}
