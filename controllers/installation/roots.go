package installation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// roots reads the roots of trust that citadel has published, and remembers them.
type roots struct {
	client client.Client
	watch  *watch.Watch

	version string // resourceVersion of the ConfigMap
	bundle  trust.Bundle
}

// read returns the roots of trust; empty: not published yet. The ConfigMap is read again only when it changed. What it holds
// becomes every caBundle, so it is parsed as strictly as by the proxies.
func (r *roots) read(ctx context.Context) (trust.Bundle, error) {
	live := r.watch.Lookup(apply.Ref{Kind: "ConfigMap", Namespace: owner.MeshNamespace, Name: names.RootsConfigMap})
	if live == nil {
		return trust.Bundle{}, nil
	}
	if r.version == live.GetResourceVersion() {
		return r.bundle, nil
	}
	object := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: owner.MeshNamespace, Name: names.RootsConfigMap}
	err := r.client.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return trust.Bundle{}, nil
	}
	if err != nil {
		return trust.Bundle{}, fmt.Errorf("read roots of trust: %w", err)
	}
	bundle, err := trust.Parse([]byte(object.Data[names.RootsKey]))
	if err != nil {
		return trust.Bundle{}, fmt.Errorf("read roots of trust: ConfigMap %s: %w", names.RootsConfigMap, err)
	}
	r.version, r.bundle = object.ResourceVersion, bundle
	return bundle, nil
}
