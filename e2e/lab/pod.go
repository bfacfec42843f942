package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// DialPod connects to a port on a pod's loopback, as kubectl port-forward does.
func (l *Lab) DialPod(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error) {
	transport, upgrader, err := spdy.RoundTripperFor(l.Config)
	if err != nil {
		return nil, err
	}
	url := l.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	stop, ready, failed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	go func() { failed <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return nil, fmt.Errorf("forward to pod %s: %w", pod.Name, err)
	case <-ctx.Done():
		close(stop)
		return nil, ctx.Err()
	}
	return dialForwarded(ctx, forwarder, stop)
}

func dialForwarded(ctx context.Context, forwarder *portforward.PortForwarder, stop chan struct{}) (net.Conn, error) {
	end := sync.OnceFunc(func() { close(stop) })
	ports, err := forwarder.GetPorts()
	if err != nil {
		end()
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
	if err != nil {
		end()
		return nil, err
	}
	return &forwarded{Conn: conn, end: end}, nil
}

// forwarded ends its port-forward when it is closed.
type forwarded struct {
	net.Conn
	end func()
}

func (f *forwarded) Close() error {
	defer f.end()
	return f.Conn.Close()
}

// Listening returns the TCP ports on which a pod's processes listen, except on loopback. It reads the kernel's table through one
// of the pod's processes, so it works for images without a shell; it needs root on the node.
func (l *Lab) Listening(_ context.Context, pod *corev1.Pod) ([]int, error) {
	pid, err := processOf(pod)
	if err != nil {
		return nil, err
	}
	var ports []int
	for _, table := range []string{"tcp", "tcp6"} {
		found, err := listening(filepath.Join("/proc", pid, "net", table))
		if err != nil {
			return nil, err
		}
		ports = append(ports, found...)
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

func processOf(pod *corev1.Pod) (string, error) {
	return findProcess(pod, func(string) bool { return true })
}

// Process returns the id of the process of a pod that runs a program of this name. It needs root on the node.
func (l *Lab) Process(pod *corev1.Pod, program string) (int, error) {
	pid, err := findProcess(pod, func(folder string) bool {
		name, err := os.ReadFile(filepath.Join(folder, "comm"))
		return err == nil && strings.TrimSpace(string(name)) == program
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(pid)
}

// Kill kills that process, as the kernel does when memory runs out, and returns its id.
func (l *Lab) Kill(pod *corev1.Pod, program string) (int, error) {
	pid, err := l.Process(pod, program)
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return 0, fmt.Errorf("kill %s of pod %s: %w", program, pod.Name, err)
	}
	return pid, nil
}

// findProcess returns the name in /proc of a process of a pod that is as wanted says of its folder.
func findProcess(pod *corev1.Pod, wanted func(folder string) bool) (string, error) {
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return "", err
	}
	for _, path := range groups {
		text, err := os.ReadFile(path)
		if folder := filepath.Dir(path); err == nil && strings.Contains(string(text), "pod"+string(pod.UID)) && wanted(folder) {
			return filepath.Base(folder), nil
		}
	}
	return "", fmt.Errorf("find a process of pod %s: none on this machine", pod.Name)
}

// listening parses /proc/net/tcp: local address and port in hexadecimal, state 0A is LISTEN.
func listening(path string) ([]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var ports []int
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		address, port, ok := strings.Cut(fields[1], ":")
		number, err := strconv.ParseInt(port, 16, 32)
		if ok && err == nil && !loopback(address) {
			ports = append(ports, int(number))
		}
	}
	return ports, nil
}

// loopback reports whether an address, in the kernel's little-endian words, is in 127.0.0.0/8 (also mapped to IPv6) or ::1.
func loopback(address string) bool {
	return strings.HasSuffix(address, "7F") && len(address) == 8 ||
		address == "00000000000000000000000001000000" ||
		strings.HasPrefix(address, "0000000000000000FFFF0000") && strings.HasSuffix(address, "7F")
}
