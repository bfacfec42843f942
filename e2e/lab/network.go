package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// InNetwork calls f in the network namespace of a pod: what f dials passes by the pod's sidecar, and sockets that it opens stay in
// that network. It needs root on the node.
func (l *Lab) InNetwork(pod *corev1.Pod, f func() error) error {
	pid, err := processOf(pod)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		done <- inNamespace(filepath.Join("/proc", pid, "ns", "net"), f)
	}()
	return <-done
}

func inNamespace(path string, f func() error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return f()
}
