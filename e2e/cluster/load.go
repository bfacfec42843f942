package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/node"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// containerdSocket is where containerd listens, inside the node's view of the file system.
const containerdSocket = "/run/containerd/containerd.sock"

// Load imports an image archive (as `docker save` writes it) into the cluster, unless the same content is there already.
func (c *Cluster) Load(ctx context.Context, archive string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s, spec, err := c.running()
	if err != nil {
		return err
	}
	hash, err := hashFile(archive)
	if err != nil {
		return fmt.Errorf("load image: %w", err)
	}
	mark := filepath.Join(c.Layout.Loaded(), hash)
	if _, err := os.Stat(mark); err == nil {
		c.printf("%s is loaded already", filepath.Base(archive))
		return nil
	}
	began := time.Now()
	if err := c.importImage(ctx, s, spec, archive); err != nil {
		return err
	}
	c.printf("loaded %s (%s)", filepath.Base(archive), seconds(began))
	if err := os.MkdirAll(c.Layout.Loaded(), 0o755); err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(archive+"\n"), 0o644)
}

func (c *Cluster) importImage(ctx context.Context, s state.State, spec state.Spec, archive string) error {
	// The background process's root leads to a socket that is not in the host's view.
	socket := fmt.Sprintf("/proc/%d/root%s", s.Daemon.PID, containerdSocket)
	command := node.Import(spec.Artifacts, socket, archive)
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("load image %s: %w\n%s", archive, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// running returns the state of a cluster that must be up.
func (c *Cluster) running() (state.State, state.Spec, error) {
	var spec state.Spec
	s, err := c.State()
	if err != nil {
		return s, spec, err
	}
	switch s.Phase {
	case state.Ready:
		return s, spec, state.Read(c.Layout.Spec(), &spec)
	case state.Failed:
		return s, spec, fmt.Errorf("use cluster %s: %s failed: %s (see %s, then run up)", c.Name, s.Failure.Component, s.Failure.Reason, s.Failure.Log)
	default:
		return s, spec, errors.New("use cluster " + c.Name + ": it is not up (run up first)")
	}
}

// Kubectl returns the command that runs this cluster's kubectl.
func (c *Cluster) Kubectl(arguments ...string) (*exec.Cmd, error) {
	_, spec, err := c.running()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(spec.Artifacts.Kube, append([]string{"kubectl"}, arguments...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Layout.Kubeconfig())
	return cmd, nil
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
