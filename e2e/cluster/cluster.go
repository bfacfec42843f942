// Package cluster runs a whole Kubernetes on one machine for tests and demonstrations, with nothing installed on the host.
//
// A cluster is a folder, a control group, a network namespace and a background process; its name joins them:
//
//	CACHE/clusters/NAME/                  everything on disk: state, logs, certificates, data
//	/sys/fs/cgroup/*/mesh-cluster-NAME    everything that runs: the list of what to kill
//	/run/netns/mesh-cluster-NAME          everything on the network: no link to the host's
//
// Up and Down are here. Packages: artifacts builds and downloads the programs, cgroup and netns isolate processes and network, node is
// the background process that runs Kubernetes, ingress forwards ports of the host, state has the files by which the background
// process and the command line communicate.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/cgroup"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// Cluster is one cluster on this machine, running or not.
type Cluster struct {
	Name   string
	Layout state.Layout

	cache  string
	source string
	out    io.Writer
	group  *cgroup.Group
}

// Options are the cluster's name and its folders.
type Options struct {
	Name   string
	Cache  string    // folder of downloads, builds and clusters
	Source string    // folder of this module, from which Kubernetes is built
	Out    io.Writer // progress
}

// namePattern keeps names short enough for devices and sockets, and safe in paths.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)

// New describes a cluster; it starts nothing.
func New(o Options) (*Cluster, error) {
	if !namePattern.MatchString(o.Name) {
		return nil, fmt.Errorf("use cluster name %q: must be a lower-case word of at most 30 letters, digits and dashes", o.Name)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("run a cluster: needs root (control groups, network namespaces, mounts)")
	}
	group, err := cgroup.New(groupName(o.Name))
	if err != nil {
		return nil, err
	}
	cache, err := filepath.Abs(o.Cache)
	if err != nil {
		return nil, err
	}
	return &Cluster{
		Name: o.Name, Layout: state.Layout(filepath.Join(cache, "clusters", o.Name)),
		cache: cache, source: o.Source, out: o.Out, group: group,
	}, nil
}

func groupName(cluster string) string { return "mesh-cluster-" + cluster }

// GroupName is the name of the cluster's control group and network namespace.
func (c *Cluster) GroupName() string { return groupName(c.Name) }

// State reads the cluster's state. Without its background process a cluster has failed, whatever its state file has.
func (c *Cluster) State() (state.State, error) {
	var s state.State
	if err := state.Read(c.Layout.State(), &s); err != nil {
		return s, fmt.Errorf("read cluster's state: %w", err)
	}
	if s.Phase != "" && !s.Daemon.Alive() && s.Failure == nil {
		s.Phase = state.Failed
		s.Failure = &state.Failure{
			Component: "cluster", Reason: "the background process is gone", Log: c.Layout.Log("cluster"),
		}
	}
	return s, nil
}

// Down removes the cluster, running, half started or killed, and everything it left.
func (c *Cluster) Down(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.clear(ctx); err != nil {
		return fmt.Errorf("remove cluster %s: %w", c.Name, err)
	}
	c.printf("cluster %s is down", c.Name)
	return nil
}

// clearTimeout bounds each wait for the kernel: processes to end, control groups to empty.
const clearTimeout = 30 * time.Second

// clear ends the processes first: most mounts and the pods' networks end with them. Each step runs even if one before failed,
// so that as little as possible is left.
func (c *Cluster) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	return errors.Join(
		c.group.Kill(ctx),
		netns.Delete(c.GroupName()),
		c.group.Remove(ctx),
		c.removeFolder(),
	)
}

// removeFolder deletes the cluster's folder, but never through a mount that somebody put below it.
func (c *Cluster) removeFolder() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("remove cluster's folder: %w", err)
	}
	for _, point := range mountsBelow(string(mounts), c.Layout.Dir()) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	if err := os.RemoveAll(c.Layout.Dir()); err != nil {
		return fmt.Errorf("remove cluster's folder: %w", err)
	}
	return nil
}

// mountsBelow lists the mount points below dir, the last mounted first.
func mountsBelow(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			points = append([]string{point}, points...)
		}
	}
	return points
}

// lock makes sure that one command at a time works on a cluster. Its file is removed with it.
func (c *Cluster) lock() (unlock func(), err error) {
	path := c.Layout.Dir() + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock cluster: %w", err)
	}
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock cluster: %w", err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
			file.Close()
			return nil, fmt.Errorf("lock cluster: %w", err)
		}
		if sameFile(file, path) {
			return func() { os.Remove(path); file.Close() }, nil
		}
		file.Close() // its last owner removed it meanwhile
	}
}

func sameFile(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(path)
	return err == nil && os.SameFile(mine, current)
}

// exists reports whether anything of the cluster exists.
func (c *Cluster) exists() bool {
	_, err := os.Stat(c.Layout.Dir())
	return !errors.Is(err, fs.ErrNotExist) || c.group.Exists()
}
