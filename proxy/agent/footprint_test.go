package agent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sys/unix"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// Limits of the agent's process in a pod. Every pod of a mesh pays them.
const (
	maxResident  = 20_000 // kB
	maxAnonymous = 8_000  // kB: memory that is not the binary's pages, which pods of one node share
	maxImageSize = 18 << 20
)

// TestFootprint runs the real binary with a real Envoy, a CA and a pilot with a configuration as large as Bookinfo's, scrapes
// it and reads its memory. It logs the processor time up to readiness: that depends on the machine, so it is no limit here.
func TestFootprint(t *testing.T) {
	binary := buildAgent(t)
	if info, err := os.Stat(binary); err != nil || info.Size() > maxImageSize {
		t.Errorf("the binary has %d bytes, want at most %d, %v", info.Size(), maxImageSize, err)
	}
	ca := newFakeCA(t, time.Hour)
	ca.address = "127.0.0.1:18060"
	inNetworkNamespace(t, func() {
		ca.start()
		pilot := newFakePilot(t, ca)
		pilot.publish(manyClusters())
		started, agent := time.Now(), startAgent(t, binary, ca, pilot)
		for scrape(DefaultPorts.Health, "/healthz/ready") == 0 {
			if time.Since(started) > time.Minute {
				t.Error("the proxy does not become ready")
				return
			}
			time.Sleep(time.Second) // the period of the readiness probe; each probe takes processor time
		}
		cpu := processorTime(t, agent.Pid)
		for range 5 {
			if n := scrape(DefaultPorts.Agent, "/stats/prometheus"); n < 10_000 {
				t.Errorf("the metrics page has %d bytes", n)
			}
		}
		resident, anonymous := memory(t, agent.Pid, "Rss"), memory(t, agent.Pid, "Anonymous")
		t.Logf("%d kB resident, %d kB of it anonymous, %s of processor time to start, binary of %d bytes", resident, anonymous, cpu, size(binary))
		if resident > maxResident || anonymous > maxAnonymous {
			t.Errorf("the agent has %d kB resident and %d kB anonymous, want at most %d and %d", resident, anonymous, maxResident, maxAnonymous)
		}
	})
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// buildAgent builds the binary as the image has it; see e2e/images.
func buildAgent(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mesh-agent")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", binary, "../../cmd/mesh-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	return binary
}

// inNetworkNamespace calls f in a network namespace with a loopback interface: the ports of a pod are fixed. f's thread stays
// locked, so it must make its connections itself.
func inNetworkNamespace(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace: run it as root")
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		if err := upLoopback(); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
}

func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// manyClusters are about as many clusters and listeners as a sidecar of Bookinfo has.
func manyClusters() map[string][]*discoveryv3.Resource {
	var clusters []*clusterv3.Cluster
	var listeners []*listenerv3.Listener
	for i := range 60 {
		clusters = append(clusters, testCluster(fmt.Sprintf("outbound|9080||service-%d.bookinfo.svc.cluster.local", i), 9080))
	}
	for i := range 20 {
		l := strictListener(uint32(20_000 + i))
		l.Name = fmt.Sprintf("listener-%d", i)
		listeners = append(listeners, l)
	}
	return configuration("1", clusters, listeners)
}

func startAgent(t *testing.T, binary string, ca *fakeCA, pilot *fakePilot) *os.Process {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // short: socket paths have a limit
	if err != nil {
		t.Fatal(err)
	}
	options := ca.clientOptions(dir)
	cmd := exec.Command(binary, "proxy", "sidecar", "--dir", dir, "--token-file", options.TokenFile, "--root-file", options.RootFile)
	cmd.Env = []string{
		"POD_NAME=reviews-v1-abc", "POD_NAMESPACE=bookinfo", "SERVICE_ACCOUNT=bookinfo-reviews", "INSTANCE_IP=127.0.0.1",
		"CA_ADDRESS=" + ca.address, "PILOT_ADDRESS=" + pilot.address, "ENVOY_PATH=" + envoytest.Binary(t),
	}
	var log buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the locked thread
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("agent:\n%s", log.String())
		}
	})
	return cmd.Process
}

// scrape returns the length of the body of a 200 response, else 0.
func scrape(port uint32, path string) int {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n", path)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return len(body)
}

// memory returns a value of the process's memory in kB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return n
		}
	}
	t.Fatalf("no %s in smaps_rollup", name)
	return 0
}

// processorTime is the time that all threads of a process have run (proc_pid_schedstat, first field, in ns).
func processorTime(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		n, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		sum += time.Duration(n)
	}
	return sum
}
