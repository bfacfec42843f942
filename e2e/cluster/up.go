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

// upPatience bounds the whole start; each component has a shorter time of its own.
const upPatience = 5 * time.Minute

// Up makes the cluster run: nothing to do when it does, otherwise what is left of an earlier one is cleared first.
func (c *Cluster) Up(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if s, err := c.State(); err == nil && s.Phase == state.Ready {
		c.say("cluster %s is up already", c.Name)
		return nil
	}
	if c.exists() {
		c.say("clearing what is left of an earlier cluster %s", c.Name)
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

// Fetch obtains the programs a cluster is made of, if they are not there yet.
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
	c.say("cluster %s is ready (%s)", c.Name, seconds(began))
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
// before anything else: version 1 offers no way to be born in one.
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
	go func() { _ = cmd.Wait() }() // its state file tells how it ended
	return nil
}

// await follows the state until the cluster is ready, and tells each component that became so.
func (c *Cluster) await(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	told := map[string]bool{}
	for {
		s, err := c.State()
		if err != nil {
			return err
		}
		for _, component := range s.Components {
			if component.Ready && !told[component.Name] {
				told[component.Name] = true
				c.say("  %-24s ready (%s)", component.Name, seconds(began))
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

// stop ends the processes of a cluster that did not come up and keeps its logs. The next Up or Down clears the rest.
func (c *Cluster) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), clearPatience)
	defer cancel()
	if err := c.group.Kill(ctx); err != nil {
		c.say("%v", err)
	}
}

func (c *Cluster) say(format string, values ...any) {
	fmt.Fprintf(c.out, format+"\n", values...)
}

func seconds(since time.Time) string {
	return fmt.Sprintf("%.1fs", time.Since(since).Seconds())
}
