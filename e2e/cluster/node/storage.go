package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	storageClass = "standard"
	provisioner  = "cluster.local/folder"

	// volumes is the folder of the volumes, in the node's view of the file system. It goes with the cluster.
	volumes = "/var/lib/volumes"
)

// defaultStorageClass is used by every PersistentVolumeClaim that names no other class.
func defaultStorageClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta:    metav1.ObjectMeta{Name: storageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner:   provisioner,
		ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete),
	}
}

// provisionVolumes serves the default storage class until ctx ends.
func (d *daemon) provisionVolumes(ctx context.Context) {
	controller.NewProvisionController(ctx, d.client, provisioner, folderProvisioner{volumes}, controller.LeaderElection(false)).Run(ctx)
}

// folderProvisioner makes one folder a volume. Its root is the folder of all volumes.
type folderProvisioner struct{ root string }

// Provision creates a volume's folder. Everybody may write to it: the kubelet changes no owner of a hostPath volume, and
// containers run as many users.
func (p folderProvisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(p.root, o.PVName)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("create volume: %w", err)
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask is
		return nil, controller.ProvisioningFinished, fmt.Errorf("create volume: %w", err)
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: new(corev1.HostPathDirectory)},
			},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete deletes a volume's folder.
func (p folderProvisioner) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	if err := os.RemoveAll(filepath.Join(p.root, volume.Name)); err != nil {
		return fmt.Errorf("delete volume: %w", err)
	}
	return nil
}
