// Package netns makes the network that a cluster lives in: a named network namespace with no link to the host.
//
//	host namespace            cluster namespace /run/netns/NAME
//	127.0.0.1:PORT            lo, node0 (10.200.0.1/24: the node's address), vethX ... (one per pod, 10.244.0.0/24)
//	   |  the forwarder listens here and dials there
//	   +--------------------> 10.200.0.1:NODEPORT
//
// Every address other than those of the node, pods, Services and load balancers is unreachable: connections fail at once.
package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// dir is where iproute2 looks for named namespaces, so that `ip netns` lists a cluster's.
const dir = "/run/netns"

// Path is the file that holds the namespace open.
func Path(name string) string { return filepath.Join(dir, name) }

// Create makes a named namespace; it is empty but for a loopback device that is down.
func Create(name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create network namespace: %w", err)
	}
	file, err := os.OpenFile(Path(name), os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("create network namespace: %w", err)
	}
	file.Close()
	if err := onNewThread(func() error { return pinNew(Path(name)) }); err != nil {
		os.Remove(Path(name))
		return fmt.Errorf("create network namespace %s: %w", name, err)
	}
	return nil
}

func pinNew(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
}

// Delete removes the name; the namespace ends with its last process.
func Delete(name string) error {
	path := Path(name)
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount network namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network namespace: %w", err)
	}
	os.Remove(dir) // only succeeds when empty
	return nil
}

// Do runs f on a thread inside the namespace. What f starts (a process, a socket) stays there.
func Do(path string, f func() error) error {
	return onNewThread(func() error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open network namespace %s: %w", path, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}

// onNewThread runs f on a thread that ends with its goroutine, because it is never unlocked: no other goroutine runs in the
// namespace by accident.
func onNewThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// Dial connects from inside the namespace. The address must be numeric: a lookup would leave the thread.
func Dial(ctx context.Context, path, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := Do(path, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens inside the namespace.
func Listen(path, network, address string) (net.Listener, error) {
	var listener net.Listener
	err := Do(path, func() (err error) {
		listener, err = net.Listen(network, address)
		return err
	})
	return listener, err
}
