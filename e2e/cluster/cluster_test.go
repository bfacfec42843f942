package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

func TestName(t *testing.T) {
	for _, good := range []string{"demo", "a", "test-2"} {
		if _, err := New(Options{Name: good, Cache: t.TempDir()}); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	for _, bad := range []string{"", "..", "a/b", "A", "-a", "a b", strings.Repeat("a", 31)} {
		if _, err := New(Options{Name: bad, Cache: t.TempDir()}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = "22 1 254:0 / / rw - ext4 /dev/vda rw\n" +
		"40 22 0:40 / /c/demo/var rw - tmpfs tmpfs rw\n" +
		"41 40 0:41 / /c/demo/var/deep\\040er rw - tmpfs tmpfs rw\n" +
		"42 22 0:42 / /c/demo2/var rw - tmpfs tmpfs rw\n" +
		"43 22 0:43 / /c/demo rw - tmpfs tmpfs rw\n"
	want := []string{"/c/demo/var/deep er", "/c/demo/var"}
	if diff := cmp.Diff(want, mountsBelow(mountinfo, "/c/demo")); diff != "" {
		t.Errorf("want the deepest first and no neighbours: %s", diff)
	}
}

// TestExplain expects the component, the reason, the last log lines and the paths of the logs.
func TestExplain(t *testing.T) {
	c, err := New(Options{Name: "t", Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.Layout.Logs(), 0o755); err != nil {
		t.Fatal(err)
	}
	log := c.Layout.Log("etcd")
	if err := os.WriteFile(log, []byte(strings.Repeat("early\n", 50)+"address already in use\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := c.explain(state.Failure{Component: "etcd", Reason: "ended during the start: exit status 1", Log: log}).Error()
	for _, want := range []string{"etcd failed", "exit status 1", "address already in use", log, c.Layout.Logs()} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "early"); lines >= 50 {
		t.Errorf("shows all of the log: %d lines", lines)
	}
}

// TestCommandsNeedARunningCluster expects an error with the command to run first.
func TestCommandsNeedARunningCluster(t *testing.T) {
	c, err := New(Options{Name: "t", Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl("get", "pods"); err == nil || !strings.Contains(err.Error(), "run up first") {
		t.Errorf("got %v", err)
	}
	// The background process of this state has ended.
	if err := os.MkdirAll(c.Layout.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := state.Write(c.Layout.State(), state.State{Phase: state.Ready, Daemon: state.Process{PID: os.Getpid(), Start: 1}}); err != nil {
		t.Fatal(err)
	}
	s, err := c.State()
	if err != nil || s.Phase != state.Failed || s.Failure == nil {
		t.Errorf("state %+v, %v", s, err)
	}
}

// TestLock checks that the second waits for the first, and that the lock's file is removed with the last.
func TestLock(t *testing.T) {
	c, err := New(Options{Name: "t", Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	inside := make(chan string, 2)
	go func() {
		second, err := c.lock()
		if err != nil {
			t.Error(err)
			return
		}
		inside <- "second"
		second()
		inside <- "done"
	}()
	inside <- "first"
	if got := <-inside; got != "first" {
		t.Errorf("%s is in while the first holds the lock", got)
	}
	unlock()
	<-inside
	<-inside
	left, err := filepath.Glob(filepath.Join(filepath.Dir(c.Layout.Dir()), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
