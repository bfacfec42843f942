package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// sysctls are what the kubelet wants and would otherwise write to the host's kernel. None of them belongs to a network
// namespace, so the node gets private files instead.
var sysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// isolateView gives this process, which already has a mount namespace of its own, the node's view of the file system:
// an empty /run, the cluster's /var, and private copies of the host's kernel settings. Paths that Kubernetes and
// containerd hard-wire (/var/lib/kubelet, /run/containerd, /var/log/pods, /run/netns) therefore differ from those of the
// host and of other clusters, and mounts below them end with the node's last process.
func isolateView(layout state.Layout, cache string) error {
	if err := prepareVar(layout); err != nil {
		return fmt.Errorf("prepare /var: %w", err)
	}
	keep, err := openAll(layout.Dir(), cache)
	if err != nil {
		return fmt.Errorf("prepare node's view: %w", err)
	}
	defer keep.close()
	mounts := []func() error{
		func() error { return bind(layout.Var(), "/var") },
		func() error { return unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755") },
		keep.restore,
		func() error { return hideSysctls(filepath.Join(layout.Dir(), "sysctl")) },
		// Volumes that pods mount must be seen by containers that are started later.
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
	}
	for _, mount := range mounts {
		if err := mount(); err != nil {
			return fmt.Errorf("mount node's view: %w", err)
		}
	}
	for _, dir := range []string{"/run/lock", "/run/netns", "/run/containerd"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("prepare /run: %w", err)
		}
	}
	return nil
}

func prepareVar(layout state.Layout) error {
	for _, dir := range []string{"lib/kubelet", "log/pods", "log/containers", "tmp"} {
		if err := os.MkdirAll(filepath.Join(layout.Var(), dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(layout.Var(), "run")); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}

// kept are folders that must stay visible although they may lie below a path that is covered.
type kept map[string]*os.File

func openAll(paths ...string) (kept, error) {
	k := kept{}
	for _, path := range paths {
		if !strings.HasPrefix(path, "/run/") && !strings.HasPrefix(path, "/var/") {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			k.close()
			return nil, err
		}
		k[path] = file
	}
	return k, nil
}

func (k kept) restore() error {
	for path, file := range k {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := bind(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), path); err != nil {
			return err
		}
	}
	return nil
}

func (k kept) close() {
	for _, file := range k {
		file.Close()
	}
}

func hideSysctls(dir string) error {
	for name, value := range sysctls {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		target := "/proc/sys/" + name
		if _, err := os.Stat(target); os.IsNotExist(err) {
			continue
		}
		if err := bind(file, target); err != nil {
			return err
		}
	}
	return nil
}
