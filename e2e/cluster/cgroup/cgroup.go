// Package cgroup gives a cluster one control group in every hierarchy of the host.
//
// The group is where the cluster's processes run, and therefore also the list of what to kill: a process cannot leave it
// by forking, by changing its parent or by entering a namespace. A host has either one unified hierarchy (version 2), one
// hierarchy per controller (version 1), or both (hybrid); a Group spans whatever is mounted.
package cgroup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// leaf is the child group in which the node's own processes run; the kubelet puts pods next to it. Version 2 forbids
// processes in a group that has children with controllers.
const leaf = "node"

// Group is one name in every hierarchy.
type Group struct {
	name  string
	roots []hierarchy
}

type hierarchy struct {
	path    string
	unified bool
}

// New finds the host's hierarchies; it creates nothing.
func New(name string) (*Group, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	roots := hierarchies(string(mounts))
	if len(roots) == 0 {
		return nil, errors.New("find control groups: none is mounted")
	}
	return &Group{name: name, roots: roots}, nil
}

// hierarchies picks the control group mounts out of a mountinfo file.
func hierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 1 || left[3] != "/" || (right[0] != "cgroup" && right[0] != "cgroup2") {
			continue
		}
		h := hierarchy{path: left[4], unified: right[0] == "cgroup2"}
		if !slices.Contains(found, h) {
			found = append(found, h)
		}
	}
	return found
}

// Root is the group's name as the kubelet's cgroupRoot wants it.
func (g *Group) Root() string { return "/" + g.name }

// Dirs are the group's folders, one per hierarchy.
func (g *Group) Dirs() []string {
	dirs := make([]string, 0, len(g.roots))
	for _, h := range g.roots {
		dirs = append(dirs, filepath.Join(h.path, g.name))
	}
	return dirs
}

// Create makes the group and its leaf everywhere.
func (g *Group) Create() error {
	for _, h := range g.roots {
		for _, dir := range []string{filepath.Join(h.path, g.name), filepath.Join(h.path, g.name, leaf)} {
			if err := create(dir, h.unified); err != nil {
				return fmt.Errorf("create control group: %w", err)
			}
		}
	}
	return nil
}

func create(dir string, unified bool) error {
	if unified {
		delegate(filepath.Dir(dir))
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A version 1 cpuset starts empty and accepts no process until it is filled.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if unified || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// delegate passes on the controllers that the kubelet needs. On a hybrid host version 2 has none of them, which is fine:
// the kubelet then finds them in version 1, and names what is missing otherwise.
func delegate(dir string) {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for controller := range strings.FieldsSeq(string(available)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// Join moves the calling process, and with it all of its later children, into the group.
func (g *Group) Join() error {
	for _, dir := range g.Dirs() {
		if err := os.WriteFile(filepath.Join(dir, leaf, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("join control group: %w", err)
		}
	}
	return nil
}

// Processes lists the members of the group and of everything below it.
func (g *Group) Processes() []int {
	members := map[int]bool{}
	for _, dir := range g.Dirs() {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Base(path) == "cgroup.procs" {
				content, _ := os.ReadFile(path)
				for _, pid := range parseProcesses(content) {
					members[pid] = true
				}
			}
			return nil
		})
	}
	return slices.Sorted(maps.Keys(members))
}

// parseProcesses reads a cgroup.procs file. A zero is a process of another pid namespace: never one of ours, and a kill
// of process 0 would hit the caller's own group.
func parseProcesses(content []byte) []int {
	var pids []int
	for field := range bytes.FieldsSeq(content) {
		if pid, err := strconv.Atoi(string(field)); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Kill ends every process of the group and waits until the kernel has removed each of them. A process leaves the group when it
// begins to exit, and holds its memory, mounts and network until it has finished.
func (g *Group) Kill(ctx context.Context) error {
	killed := map[state.Process]bool{}
	for {
		pids := g.Processes()
		for _, pid := range pids {
			if process, err := state.FindProcess(pid); err == nil && pid != os.Getpid() {
				killed[process] = true
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
			}
		}
		maps.DeleteFunc(killed, func(p state.Process, _ bool) bool { return !p.Running() })
		if len(pids) == 0 && len(killed) == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("kill control group %s: processes %v still exist: %w", g.name, slices.Collect(maps.Keys(killed)), err)
		}
	}
}

// Remove deletes the group from every hierarchy. The kernel empties a group some time after its last process has ended,
// so a busy folder is tried again.
func (g *Group) Remove(ctx context.Context) error {
	for {
		err := g.removeOnce()
		if err == nil {
			return nil
		}
		if wait := pause(ctx); wait != nil {
			return fmt.Errorf("remove control group: %w", err)
		}
	}
}

func (g *Group) removeOnce() error {
	var failed error
	for _, dir := range g.Dirs() {
		var folders []string
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for _, folder := range slices.Backward(folders) {
			if err := syscall.Rmdir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = fmt.Errorf("remove %s: %w", folder, err)
			}
		}
	}
	return failed
}

// Exists reports whether any hierarchy has the group.
func (g *Group) Exists() bool {
	return slices.ContainsFunc(g.Dirs(), func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	})
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
