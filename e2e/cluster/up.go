package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/artifacts"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// DaemonCommand is the hidden subcommand by which this program runs itself in the background.
const DaemonCommand = "daemon"

// upTimeout bounds the whole start; each component has a shorter time of its own.
const upTimeout = 5 * time.Minute

// Up starts the cluster unless it runs; it removes first what an earlier one left.
func (c *Cluster) Up(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if s, err := c.State(); err == nil && s.Phase == state.Ready {
		c.printf("cluster %s is up already", c.Name)
		return nil
	}
	if c.exists() {
		c.printf("removing what an earlier cluster %s left", c.Name)
	}
	if err := c.clear(ctx); err != nil {
		return fmt.Errorf("clear earlier cluster: %w", err)
	}
	found, err := c.Fetch(ctx)
	if err != nil {
		return err
	}
	return c.start(ctx, found)
}

// Fetch obtains the programs a cluster is made of, if the cache lacks them.
func (c *Cluster) Fetch(ctx context.Context) (state.Artifacts, error) {
	store := artifacts.Store{Cache: c.cache, Source: c.source, Out: c.out}
	return store.Ensure(ctx)
}

func (c *Cluster) start(ctx context.Context, found state.Artifacts) error {
	began := time.Now()
	if err := c.prepare(found); err != nil {
		return err
	}
	if err := c.spawn(); err != nil {
		return err
	}
	if err := c.await(ctx, began); err != nil {
		c.stop()
		return err
	}
	c.printf("cluster %s is ready (%s)", c.Name, seconds(began))
	return nil
}

func (c *Cluster) prepare(found state.Artifacts) error {
	if err := os.MkdirAll(c.Layout.Logs(), 0o755); err != nil {
		return fmt.Errorf("prepare cluster's folder: %w", err)
	}
	if err := state.Write(c.Layout.Spec(), state.Spec{Name: c.Name, Artifacts: found}); err != nil {
		return fmt.Errorf("write cluster's specification: %w", err)
	}
	if err := c.group.Create(); err != nil {
		return err
	}
	if err := netns.Create(c.GroupName()); err != nil {
		return err
	}
	return netns.Configure(netns.Path(c.GroupName()), netns.Default)
}

// spawn starts the background process in a session and a mount namespace of its own. It enters its control group itself,
// before anything else: version 1 has no way to start a process in one.
func (c *Cluster) spawn() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	log, err := os.OpenFile(c.Layout.Log("cluster"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(self, DaemonCommand, "--name", c.Name, "--cache", c.cache)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start background process: %w", err)
	}
	go func() { _ = cmd.Wait() }() // its state file has the result
	return nil
}

// await reads the state until the cluster is ready, and prints each component that has become ready.
func (c *Cluster) await(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	printed := map[string]bool{}
	for {
		s, err := c.State()
		if err != nil {
			return err
		}
		for _, component := range s.Components {
			if component.Ready && !printed[component.Name] {
				printed[component.Name] = true
				c.printf("  %-24s ready (%s)", component.Name, seconds(began))
			}
		}
		switch {
		case s.Phase == state.Ready:
			return nil
		case s.Phase == state.Failed:
			return c.explain(*s.Failure)
		case s.Phase == "" && time.Since(began) > 60*time.Second:
			return c.explain(state.Failure{Component: "cluster", Reason: "the background process did not start", Log: c.Layout.Log("cluster")})
		}
		select {
		case <-ctx.Done():
			return c.explain(state.Failure{Component: "cluster", Reason: "not ready: " + ctx.Err().Error(), Log: c.Layout.Log("cluster")})
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the processes of a cluster that did not start and leaves its logs. The next Up or Down removes the rest.
func (c *Cluster) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), clearTimeout)
	defer cancel()
	if err := c.group.Kill(ctx); err != nil {
		c.printf("%v", err)
	}
}

func (c *Cluster) printf(format string, values ...any) {
	fmt.Fprintf(c.out, format+"\n", values...)
}

func seconds(since time.Time) string {
	return fmt.Sprintf("%.1fs", time.Since(since).Seconds())
}
