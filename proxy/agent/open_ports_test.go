package agent

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestOnlyListedPortsAreOpen: the three read-only ports are the only sockets of Envoy and of this process that do not listen on
// loopback.
func TestOnlyListedPortsAreOpen(t *testing.T) {
	p := startPod(t, time.Hour)
	port := envoytest.FreePort(t)
	p.pilot.publish(configuration("1", []*clusterv3.Cluster{someCluster(port)}, []*listenerv3.Listener{strictListener(port)}))
	p.waitReady()
	ports := p.config.Ports
	want := []string{fmt.Sprint(ports.Agent), fmt.Sprint(ports.Health), fmt.Sprint(ports.Metrics)}
	slices.Sort(want)
	if got := openPorts(t, os.Getpid(), envoyPID(t, p)); !slices.Equal(want, got) {
		t.Errorf("open ports are %v, want %v", got, want)
	}
}

// TestOpenPortsHaveConnectionLimits opens more connections than the limit of a port. The ports bypass the overload manager, so
// they have their own limits.
func TestOpenPortsHaveConnectionLimits(t *testing.T) {
	config, err := Environment(Sidecar, podEnv(nil))
	if err != nil {
		t.Fatal(err)
	}
	config.Ports = freePorts(t)
	const few = 3
	b := testBootstrap(t, config)
	b.DynamicResources = nil
	layer := b.LayeredRuntime.Layers[0].GetStaticLayer()
	for _, listener := range b.StaticResources.Listeners {
		key := "envoy.resource_limits.listener." + listener.Name + ".connection_limit"
		if limit := layer.Fields[key].GetNumberValue(); limit != openConnections {
			t.Errorf("the limit of %s is %v, want %d", listener.Name, limit, openConnections)
		}
		layer.Fields[key] = structpb.NewNumberValue(few)
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	for _, port := range []uint32{config.Ports.Health, config.Ports.Metrics} {
		var last net.Conn
		for range few + 1 {
			if last, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second); err != nil {
				t.Fatal(err)
			}
			defer last.Close()
		}
		_ = last.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d of port %d is open: %v", few+1, port, err)
		}
	}
}

func envoyPID(t *testing.T, p *pod) int {
	t.Helper()
	_, rest, ok := strings.Cut(p.log.String(), `msg="envoy started" pid=`)
	pid, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	if !ok || err != nil {
		t.Fatalf("no pid of envoy in the log: %v", err)
	}
	return pid
}

// openPorts returns the ports on which the processes listen beyond loopback.
func openPorts(t *testing.T, pids ...int) []string {
	t.Helper()
	sockets := map[string]bool{}
	for _, pid := range pids {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, link := range links {
			target, _ := os.Readlink(link)
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var out []string
	// Not /proc/net: that is the namespace of the process's first thread, which another test may have left in one of its own.
	for _, table := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		for _, l := range listening(t, table) {
			if sockets[l.inode] && !l.address.Addr().IsLoopback() {
				out = append(out, fmt.Sprint(l.address.Port()))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

type listeningSocket struct {
	address netip.AddrPort
	inode   string
}

func listening(t *testing.T, table string) []listeningSocket {
	t.Helper()
	file, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []listeningSocket
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		const listen = "0A"
		if len(fields) < 10 || fields[3] != listen {
			continue
		}
		host, port, _ := strings.Cut(fields[1], ":")
		bytes, err := hex.DecodeString(host)
		if err != nil {
			t.Fatal(err)
		}
		for word := range slices.Chunk(bytes, 4) { // the kernel prints words in its own byte order
			slices.Reverse(word)
		}
		ip, _ := netip.AddrFromSlice(bytes)
		number, _ := strconv.ParseUint(port, 16, 16)
		out = append(out, listeningSocket{netip.AddrPortFrom(ip.Unmap(), uint16(number)), fields[9]})
	}
	return out
}
