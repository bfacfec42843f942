package cgroup

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHierarchies(t *testing.T) {
	const (
		v1 = "27 26 0:24 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu\n" +
			"28 26 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		v2    = "36 26 0:33 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw\n"
		noise = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\nbroken\n" +
			"90 26 0:24 /docker/7 /mnt/inner rw - cgroup cgroup rw,cpu\n"
	)
	cpu, memory := hierarchy{path: "/sys/fs/cgroup/cpu"}, hierarchy{path: "/sys/fs/cgroup/memory"}
	unified := hierarchy{path: "/sys/fs/cgroup/unified", unified: true}
	for name, test := range map[string]struct {
		mountinfo string
		want      []hierarchy
	}{
		"none":                          {noise, nil},
		"version 1":                     {noise + v1, []hierarchy{cpu, memory}},
		"hybrid":                        {v1 + noise + v2, []hierarchy{cpu, memory, unified}},
		"mounted twice at one place":    {v2 + v2, []hierarchy{unified}},
		"part of a hierarchy is not it": {noise, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, hierarchies(test.mountinfo), cmp.AllowUnexported(hierarchy{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseProcesses(t *testing.T) {
	got := parseProcesses([]byte("12\n0\n1\n-5\nx\n345\n"))
	if diff := cmp.Diff([]int{12, 345}, got); diff != "" {
		t.Errorf("a kill of 0, 1 or less would hit other processes: %s", diff)
	}
}

func FuzzParseProcesses(f *testing.F) {
	f.Add([]byte("1\n2\n3"))
	f.Add([]byte("0"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, pid := range parseProcesses(content) {
			if pid <= 1 {
				t.Errorf("%q gives process %d", content, pid)
			}
		}
	})
}

// TestKillAndRemove ends processes that were started in a group, children included, and removes the group.
func TestKillAndRemove(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	g, err := New("mesh-cluster-cgroup-test")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	defer g.Remove(context.WithoutCancel(ctx))
	shell := exec.Command("sh", "-c", "read go; sleep 1000 & sleep 1000")
	input, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range g.Dirs() {
		if err := os.WriteFile(dir+"/node/cgroup.procs", []byte(strconv.Itoa(shell.Process.Pid)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := input.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	for len(g.Processes()) < 3 {
		if err := pause(ctx); err != nil {
			t.Fatal("the shell's children are not in the group")
		}
	}
	if !slices.Contains(g.Processes(), shell.Process.Pid) {
		t.Error("the shell is not in the group")
	}
	waited := make(chan error, 1)
	go func() { waited <- shell.Wait() }()
	if err := g.Kill(ctx); err != nil {
		t.Error(err)
	}
	<-waited
	if err := g.Remove(ctx); err != nil {
		t.Error(err)
	}
	if g.Exists() {
		t.Error("the group still exists")
	}
}
