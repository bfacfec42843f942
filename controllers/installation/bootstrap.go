package installation

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/controllers/installation/removal"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// errNamespaceTerminating: the mesh's namespace has to be gone before there can be another.
var errNamespaceTerminating = errors.New("namespace " + owner.MeshNamespace + " is being deleted; waiting until it is gone")

// bootstrap creates the mesh's namespace and the operator's access to it, which everything else needs, and returns the
// namespace's UID. A namespace that exists is used as it is and stays when the mesh is removed, unless it was ours before.
func (r *Reconciler) bootstrap(ctx context.Context) (types.UID, error) {
	live, err := removal.Namespace(ctx, r.Client)
	if err != nil {
		return "", err
	}
	if live != nil && live.DeletionTimestamp != nil {
		return "", errNamespaceTerminating
	}
	uid := types.UID("")
	if live != nil {
		uid = live.UID
	}
	if live != nil && owner.Kept(live) {
		if err = r.adoptMesh(ctx, live); err != nil {
			return "", err
		}
	}
	if live == nil || owner.Owned(live.Labels) {
		if uid, err = r.mesh.writer.AnnounceAndApply(ctx, write.NamespaceObject()); err != nil {
			return "", err
		}
	}
	if _, err = r.mesh.writer.AnnounceAndApply(ctx, r.mesh.writer.AccessObject()); err != nil {
		return "", err
	}
	return uid, r.openMesh(ctx, uid)
}

// openMesh watches the namespace with this UID. Numbers of proxies that were polled before it was replaced say nothing.
func (r *Reconciler) openMesh(ctx context.Context, uid types.UID) error {
	if r.Watch.MeshUID() != uid {
		r.dataPlane.Reset()
	}
	return r.Watch.OpenMesh(ctx, uid)
}

// adoptMesh makes ours again what a removal has left behind.
func (r *Reconciler) adoptMesh(ctx context.Context, namespace *metav1.PartialObjectMetadata) error {
	if _, err := r.mesh.writer.AnnounceAndApply(ctx, r.mesh.writer.AccessObject()); err != nil {
		return err
	}
	if err := r.openMesh(ctx, namespace.UID); err != nil { // which also waits until the access works
		return err
	}
	return removal.Adopt(ctx, r.Client, namespace)
}
