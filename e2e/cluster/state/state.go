// Package state has the files by which a cluster's background process and the command line communicate: their paths (Layout), the
// specification (Spec) and the current state (State).
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Layout has the paths of one cluster's files. All of them are in one folder, which is deleted with the cluster.
type Layout string

func (l Layout) path(name string) string { return filepath.Join(string(l), name) }

// Dir is the cluster's folder.
func (l Layout) Dir() string { return string(l) }

// Spec is written by the command line before it starts the background process.
func (l Layout) Spec() string { return l.path("spec.json") }

// State is written by the background process.
func (l Layout) State() string { return l.path("state.json") }

// Kubeconfig works from the host: it points at the forwarder.
func (l Layout) Kubeconfig() string { return l.path("kubeconfig") }

// Logs has one file per component.
func (l Layout) Logs() string { return l.path("logs") }

// Log is the file of one component.
func (l Layout) Log(component string) string { return filepath.Join(l.Logs(), component+".log") }

// Audit is the API server's audit log: one JSON object a line.
func (l Layout) Audit() string { return filepath.Join(l.Logs(), "audit.log") }

// PKI has keys, certificates and the components' kubeconfigs.
func (l Layout) PKI() string { return l.path("pki") }

// Config has the components' configuration files.
func (l Layout) Config() string { return l.path("config") }

// Data has etcd's and containerd's content.
func (l Layout) Data() string { return l.path("data") }

// Var is what the node sees as /var; pods' logs and volumes lie in it.
func (l Layout) Var() string { return l.path("var") }

// Loaded has a file per image archive that was loaded, named by its hash.
func (l Layout) Loaded() string { return l.path("loaded") }

// Hosts has extra names for the cluster's DNS, in the format of /etc/hosts; a change is seen within seconds.
func (l Layout) Hosts() string { return l.path("hosts") }

// Spec is the input of the background process.
type Spec struct {
	Name      string
	Artifacts Artifacts
}

// Artifacts are the programs a cluster is made of.
type Artifacts struct {
	Cache    string // folder that holds all of them
	Kube     string // multi-call Kubernetes binary
	CoreDNS  string
	Debian   string // root of the unpacked packages
	Pause    string // image archive
	Packages []string
}

// State is the current state of a cluster.
type State struct {
	Name       string
	Phase      Phase
	Failure    *Failure `json:",omitempty"`
	Daemon     Process
	APIServer  string // URL on 127.0.0.1
	Registry   string // address on 127.0.0.1; the node knows it as localhost:5000
	Network    string // network namespace
	Components []Component
	URLs       []URL
}

// Phase is the phase of a cluster's life.
type Phase string

// A cluster goes from Starting to Ready or Failed.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Failed   Phase = "failed"
)

// Failure is the reason why a cluster failed, and the log that has more.
type Failure struct {
	Component string
	Reason    string
	Log       string // path
}

// Component is one process of the node.
type Component struct {
	Name     string
	PID      int
	Restarts int
	Ready    bool
	Log      string
}

// URL is an address on 127.0.0.1 that reaches into the cluster.
type URL struct {
	Name string // NAMESPACE/SERVICE/PORT
	URL  string
}

// Process identifies a process by number and start time: the kernel reuses numbers.
type Process struct {
	PID   int
	Start uint64 // clock ticks since boot
}

// FindProcess looks a running process up.
func FindProcess(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	start, err := parseStart(string(stat))
	return Process{PID: pid, Start: start}, err
}

// parseStart reads field 22 of /proc/PID/stat. Field 2, the program's name, may contain blanks and parentheses.
func parseStart(stat string) (uint64, error) {
	const startField = 22 - 3 // counted after the name and its parenthesis
	_, rest, found := cutLast(stat, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) <= startField {
		return 0, fmt.Errorf("parse process status %q: too short", stat)
	}
	return strconv.ParseUint(fields[startField], 10, 64)
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// Alive reports whether this process still exists.
func (p Process) Alive() bool {
	if p.PID <= 1 {
		return false
	}
	found, err := FindProcess(p.PID)
	return err == nil && found == p
}

// Running reports whether this process still holds memory, files or namespaces. A zombie does not: it is an exit status that only
// its parent can remove.
func (p Process) Running() bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/stat", p.PID))
	if err != nil || !p.Alive() {
		return false
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if _, rest, found := cutLast(string(stat), ") "); err == nil && found && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X") {
			return true
		}
	}
	return false
}

// Read loads a JSON file; a missing one leaves value as it is.
func Read(path string, value any) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Write replaces a JSON file in one step: a reader sees the old content or the new.
func Write(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
