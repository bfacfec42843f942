package netns

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

const testName = "mesh-cluster-netns-test"

// TestNamespace creates, uses and deletes a namespace: it is not reachable from the host, other addresses are unreachable from
// inside, and nothing is left.
func TestNamespace(t *testing.T) {
	forwarding := read(t, "/proc/sys/net/ipv4/ip_forward")
	if err := Create(testName); err != nil {
		t.Fatal(err)
	}
	defer Delete(testName)
	if err := Create(testName); err == nil {
		t.Error("created twice")
	}
	path := Path(testName)
	if err := Configure(path, Default); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(path, "tcp4", net.JoinHostPort(Default.Node, "6443"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := Dial(ctx, path, "tcp4", listener.Addr().String())
	if err != nil {
		t.Errorf("not reached from inside: %v", err)
	} else {
		conn.Close()
	}
	if _, err := Dial(ctx, path, "tcp4", "192.0.2.1:80"); !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("an address outside gives %v, want unreachable", err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name == bridge {
			t.Errorf("%s is on the host", bridge)
		}
	}
	if got := read(t, "/proc/sys/net/ipv4/ip_forward"); got != forwarding {
		t.Errorf("the host's ip_forward changed from %s to %s", forwarding, got)
	}
	for range 2 { // deleting it twice is no error
		if err := Delete(testName); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestDoReturnsError(t *testing.T) {
	if err := Do("/run/netns/mesh-cluster-none", func() error { t.Error("called"); return nil }); err == nil {
		t.Error("entered a namespace that does not exist")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
