package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/artifacts"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// The lifecycle tests run the real program on the real kernel. They run in parallel, which also tests two clusters side by side.

var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "cluster")
	output, err := exec.Command("go", "build", "-o", binary, "./cmd/cluster").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// lab is one cluster under test.
type lab struct {
	t      *testing.T
	binary string
	*Cluster
}

func newLab(t *testing.T, name string) *lab {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("MESH_CACHE")
	if cache == "" {
		cache = filepath.Join(home, ".cache", "mesh-operator")
	}
	c, err := New(Options{Name: name, Cache: cache, Source: ".", Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, binary: binary, Cluster: c}
	t.Cleanup(func() {
		if err := c.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *lab) try(arguments ...string) (string, error) {
	cmd := exec.Command(l.binary, append([]string{"--name", l.Name, "--source", "."}, arguments...)...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (l *lab) run(arguments ...string) string {
	l.t.Helper()
	output, err := l.try(arguments...)
	if err != nil {
		l.t.Fatalf("cluster %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return output
}

func (l *lab) kubectl(arguments ...string) string {
	l.t.Helper()
	return l.run(append([]string{"kubectl"}, arguments...)...)
}

// rollout waits for a Deployment; the error has its pods and the events.
func (l *lab) rollout(name string) {
	l.t.Helper()
	output, err := l.try("kubectl", "rollout", "status", "deployment/"+name, "--timeout=90s")
	if err == nil {
		return
	}
	pods, _ := l.try("kubectl", "describe", "pods")
	events, _ := l.try("kubectl", "get", "events", "--sort-by=.lastTimestamp")
	l.t.Fatalf("deployment %s: %v\n%s\n%s\n%s", name, err, output, pods, events)
}

// eventually repeats a check until it succeeds, for a minute at most.
func (l *lab) eventually(what string, check func() error) {
	l.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			l.t.Fatalf("%s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	l, before := newLab(t, "lifecycle"), hostFacts(t)
	// Another program has the node port: the forwarder must take a different one.
	taken, err := net.Listen("tcp4", "127.0.0.1:31995")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	t.Log(l.run("up"))
	if output := l.run("up"); !strings.Contains(output, "is up already") {
		t.Errorf("the second up is not idle:\n%s", output)
	}
	archive := webImage(t)
	l.run("load", archive)
	if output := l.run("load", archive); !strings.Contains(output, "loaded already") {
		t.Errorf("the second load is not idle:\n%s", output)
	}
	l.push(archive)
	// The same content has two names, pulled and loaded: a kubelet may verify the credentials of the pull for the second.
	l.kubectl("apply", "-f", "testdata/pulled.yaml")
	l.rollout("pulled")
	l.kubectl("apply", "-f", "testdata/web.yaml")
	l.rollout("web")
	l.checkService()
	l.checkBalancer()
	if output := l.kubectl("logs", "deployment/web"); strings.Contains(output, "rror") {
		t.Errorf("log: %s", output)
	}
	l.checkVolume()
	l.checkAudit()
	l.checkRestart()

	processes := l.processes()
	l.run("down")
	for _, p := range processes {
		if p.Running() {
			t.Errorf("process %d still exists after down", p.PID)
		}
	}
	l.checkNothingLeft(before)
	l.run("down") // of a cluster that does not exist
}

// TestKilled kills a cluster during and after its start: up works afterwards, and down leaves nothing.
func TestKilled(t *testing.T) {
	t.Parallel()
	l, before := newLab(t, "killed"), hostFacts(t)
	l.killDuringUp()
	l.run("up")
	l.run("load", webImage(t))
	l.kubectl("apply", "-f", "testdata/web.yaml")
	l.rollout("web")
	for _, pid := range l.group.Processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	l.eventually("the kill is noticed", func() error {
		if output, err := l.try("status"); err == nil || !strings.Contains(output, "gone") {
			return fmt.Errorf("status says %q", output)
		}
		return nil
	})
	l.run("up")
	if output := l.kubectl("get", "deployments", "--output=name"); strings.Contains(output, "web") {
		t.Errorf("the new cluster has the old one's content: %s", output)
	}
	for _, pid := range l.group.Processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	l.run("down")
	l.checkNothingLeft(before)
}

// killDuringUp ends the command line while the cluster is half up.
func (l *lab) killDuringUp() {
	l.t.Helper()
	cmd := exec.Command(l.binary, "--name", l.Name, "--source", ".", "up")
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.eventually("half up", func() error {
		s, err := l.State()
		if err == nil && len(s.Components) < 3 {
			err = errors.New("too few components")
		}
		return err
	})
	cmd.Process.Kill()
	cmd.Wait()
}

func (l *lab) push(archive string) {
	l.t.Helper()
	s, err := l.State()
	if err != nil {
		l.t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	reference, err := name.ParseReference(s.Registry+"/web:1", name.Insecure)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		l.t.Fatal(err)
	}
}

// checkService calls the pods from the host and reads what they see.
func (l *lab) checkService() {
	l.t.Helper()
	var url string
	l.eventually("the Service has a URL", func() error {
		for line := range strings.Lines(l.run("urls")) {
			if name, found, _ := strings.Cut(strings.TrimSpace(line), " "); name == "default/web/http" {
				url = found
				return nil
			}
		}
		return errors.New("no default/web/http")
	})
	if strings.HasSuffix(url, ":31995") {
		l.t.Errorf("%s is another program's port", url)
	}
	var body string
	l.eventually("the URL answers", func() error {
		response, err := http.Get(url)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		body = string(content)
		return err
	})
	address := strings.TrimSpace(l.kubectl("get", "service", "web", "--output=jsonpath={.spec.clusterIP}"))
	for _, want := range []string{"dns [" + address + "] <nil>", "no such host", "token true <nil>", "api true <nil>"} {
		if !strings.Contains(body, want) {
			l.t.Errorf("no %q in:\n%s", want, body)
		}
	}
}

// checkBalancer calls the load balancer's address from inside.
func (l *lab) checkBalancer() {
	l.t.Helper()
	var address string
	l.eventually("the load balancer has an address", func() error {
		address = l.kubectl("get", "service", "web", "--output=jsonpath={.status.loadBalancer.ingress[0].ip}")
		if net.ParseIP(address) == nil {
			return fmt.Errorf("address %q", address)
		}
		return nil
	})
	l.eventually("the load balancer's address answers", func() error {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		conn, err := netns.Dial(ctx, netns.Path(l.GroupName()), "tcp4", net.JoinHostPort(address, "80"))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// checkVolume deletes a pod of a StatefulSet: the next one finds what it wrote to its volume. The volume goes with its claim.
func (l *lab) checkVolume() {
	l.t.Helper()
	l.kubectl("apply", "-f", "testdata/stateful.yaml")
	l.eventuallyLogs("start 1")
	l.kubectl("delete", "pod", "stateful-0")
	l.eventuallyLogs("start 2")
	l.kubectl("delete", "statefulset", "stateful")
	l.kubectl("delete", "persistentvolumeclaim", "data-stateful-0")
	l.eventually("the volume is deleted", func() error {
		volumes := l.kubectl("get", "persistentvolumes", "--output=name")
		folders, err := filepath.Glob(filepath.Join(l.Layout.Var(), "lib", "volumes", "*"))
		if err == nil && (volumes != "" || len(folders) > 0) {
			err = fmt.Errorf("volumes %q, folders %v", volumes, folders)
		}
		return err
	})
}

// eventuallyLogs waits for the log of the StatefulSet's pod.
func (l *lab) eventuallyLogs(want string) {
	l.t.Helper()
	l.eventually("the pod logs "+want, func() error {
		output, err := l.try("kubectl", "logs", "stateful-0")
		if err == nil && !strings.Contains(output, want) {
			err = errors.New(output)
		}
		return err
	})
}

// processes returns the cluster's processes, identified by number and start time.
func (l *lab) processes() []state.Process {
	l.t.Helper()
	var out []state.Process
	for _, pid := range l.group.Processes() {
		if p, err := state.FindProcess(pid); err == nil {
			out = append(out, p)
		}
	}
	if len(out) < 10 {
		l.t.Fatalf("the cluster has only %d processes", len(out))
	}
	return out
}

func (l *lab) checkAudit() {
	l.t.Helper()
	l.kubectl("get", "pods", "--as=system:serviceaccount:default:witness", "--as-group=system:masters")
	content, err := os.ReadFile(l.Layout.Audit())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, want := range []string{"system:serviceaccount:default:witness", `"verb":"create"`} {
		if !strings.Contains(string(content), want) {
			l.t.Errorf("no %s in the audit log", want)
		}
	}
}

// checkRestart kills one component, which is restarted.
func (l *lab) checkRestart() {
	l.t.Helper()
	scheduler := func() state.Component {
		s, err := l.State()
		if err != nil {
			l.t.Fatal(err)
		}
		for _, c := range s.Components {
			if c.Name == "kube-scheduler" {
				return c
			}
		}
		return state.Component{}
	}
	old := scheduler().PID
	syscall.Kill(old, syscall.SIGKILL)
	l.eventually("the scheduler is restarted", func() error {
		if c := scheduler(); c.Restarts != 1 || c.PID == 0 || c.PID == old {
			return fmt.Errorf("component %+v", c)
		}
		return nil
	})
	l.run("status")
}

func webImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "web"), "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	archive := filepath.Join(dir, "web.tar")
	if err := artifacts.PackImage(filepath.Join(dir, "web"), "localhost/web:1", archive); err != nil {
		t.Fatal(err)
	}
	return archive
}
