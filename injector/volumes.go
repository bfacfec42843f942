package injector

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// userVolume reads volumes for the sidecar: a JSON list as in a pod, or an object with the name of each. They bring files,
// above all certificates; what reaches into the node (hostPath) or holds data of its own is refused.
func userVolume(o *options, text string) error {
	volumes, err := volumeList(text)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.Name == "" {
			return errors.New("a volume has no name")
		}
		s := v.VolumeSource
		s.ConfigMap, s.Secret, s.Projected, s.EmptyDir, s.CSI = nil, nil, nil, nil, nil
		if s != (corev1.VolumeSource{}) || v.VolumeSource == (corev1.VolumeSource{}) {
			return fmt.Errorf("volume %s: use configMap, secret, projected, emptyDir or csi", v.Name)
		}
		if slices.ContainsFunc(o.volumes, func(other corev1.Volume) bool { return other.Name == v.Name }) {
			return fmt.Errorf("volume %s is there twice", v.Name)
		}
		o.volumes = append(o.volumes, v)
	}
	return nil
}

func volumeList(text string) ([]corev1.Volume, error) {
	if !strings.HasPrefix(text, "{") {
		var list []corev1.Volume
		return list, strictly(text, &list)
	}
	var sources map[string]corev1.VolumeSource
	if err := strictly(text, &sources); err != nil {
		return nil, err
	}
	var list []corev1.Volume
	for name, source := range sources {
		list = append(list, corev1.Volume{Name: name, VolumeSource: source})
	}
	slices.SortFunc(list, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// userVolumeMount reads mounts of the sidecar, in the same two spellings.
func userVolumeMount(o *options, text string) error {
	var list []corev1.VolumeMount
	if strings.HasPrefix(text, "{") {
		var mounts map[string]corev1.VolumeMount
		if err := strictly(text, &mounts); err != nil {
			return err
		}
		for name, m := range mounts {
			m.Name = name
			list = append(list, m)
		}
		slices.SortFunc(list, func(a, b corev1.VolumeMount) int { return strings.Compare(a.Name, b.Name) })
	} else if err := strictly(text, &list); err != nil {
		return err
	}
	o.mounts = append(o.mounts, list...)
	return nil
}

// strictly decodes JSON and refuses what it does not know, and what stands behind it: a second list would have no effect.
func strictly(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("is not the JSON of a list: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more text after its JSON")
	}
	return nil
}

// addVolumes gives the sidecar what the pod's annotations ask for. A mount may name a volume of the pod's own too.
func (s *sidecar) addVolumes(pod *corev1.Pod, o options) error {
	for _, v := range o.volumes {
		if slices.ContainsFunc(s.pod.Spec.Volumes, func(own corev1.Volume) bool { return own.Name == v.Name }) {
			return refuse("annotation %s: volume %s is the sidecar's own: rename it", userVolumeKey, v.Name)
		}
		if slices.ContainsFunc(pod.Spec.Volumes, func(other corev1.Volume) bool { return other.Name == v.Name }) {
			return refuse("annotation %s: the pod has a volume %s already: leave it out here, and mount that one", userVolumeKey, v.Name)
		}
	}
	known := slices.Concat(pod.Spec.Volumes, o.volumes)
	for _, m := range o.mounts {
		if !slices.ContainsFunc(known, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			return refuse("annotation %s: there is no volume %q, neither in annotation %s nor in the pod", userVolumeMountKey, m.Name, userVolumeKey)
		}
	}
	if err := s.addMounts(o.mounts); err != nil {
		return err
	}
	s.pod.Spec.Volumes = append(s.pod.Spec.Volumes, o.volumes...)
	return nil
}

// mountRoots are where users may mount volumes into the proxy; elsewhere lie its binary, identity and the node's devices.
var mountRoots = []string{"/etc/", "/mnt/", "/opt/", "/srv/", "/tmp/"}

// closedMounts are the proxy's own below them.
var closedMounts = []string{
	"/etc/istio/proxy", "/etc/istio/pod", "/etc/ssl", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
	"/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
}

// addMounts adds mounts to the proxy, outside of what is its own.
func (s *sidecar) addMounts(mounts []corev1.VolumeMount) error {
	proxy := s.proxy()
	for _, m := range mounts {
		if m.MountPath == tokenPath {
			continue
		}
		if slices.ContainsFunc(s.pod.Spec.Volumes, func(own corev1.Volume) bool { return own.Name == m.Name }) {
			return refuse("container %s: volume %s is the sidecar's own", proxyName, m.Name)
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			return refuse("container %s: a mount at %s that propagates is refused", proxyName, m.MountPath)
		}
		if !isOpen(m.MountPath) {
			return refuse("container %s: a mount at %s is refused: use a path of your own below %s", proxyName, m.MountPath, strings.Join(mountRoots, ", "))
		}
		proxy.VolumeMounts = append(proxy.VolumeMounts, m)
	}
	return nil
}

// isOpen tells whether a mount there hides nothing of the proxy's, neither a file nor a folder above one.
func isOpen(mount string) bool {
	clean := path.Clean(mount) + "/"
	if !slices.ContainsFunc(mountRoots, func(root string) bool { return strings.HasPrefix(clean, root) }) {
		return false
	}
	return !slices.ContainsFunc(closedMounts, func(own string) bool {
		return strings.HasPrefix(clean, own+"/") || strings.HasPrefix(own+"/", clean)
	})
}
