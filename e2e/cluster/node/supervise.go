package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// maxRestarts bounds how often a component that ends by itself is started again before the cluster has failed.
const maxRestarts = 5

// supervisor runs the node's processes and writes the state file.
type supervisor struct {
	layout  state.Layout
	network string // path of the network namespace
	log     *slog.Logger

	mu    sync.Mutex
	state state.State
	died  chan exit
}

// exit reports a component that ended by itself.
type exit struct {
	component string
	reason    error
}

func newSupervisor(layout state.Layout, network string, initial state.State, log *slog.Logger) *supervisor {
	return &supervisor{layout: layout, network: network, log: log, state: initial, died: make(chan exit, 64)}
}

// update changes the state and writes its file.
func (s *supervisor) update(change func(*state.State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	if err := state.Write(s.layout.State(), s.state); err != nil {
		s.log.Error("state not written", "error", err)
	}
}

func (s *supervisor) updateComponent(name string, change func(*state.Component)) {
	s.update(func(st *state.State) {
		for i := range st.Components {
			if st.Components[i].Name == name {
				change(&st.Components[i])
				return
			}
		}
		added := state.Component{Name: name, Log: s.layout.Log(name)}
		change(&added)
		st.Components = append(st.Components, added)
	})
}

func (s *supervisor) ready(name string) {
	s.log.Info("component ready", "component", name)
	s.updateComponent(name, func(c *state.Component) { c.Ready = true })
}

// start runs a component in the cluster's network and restarts it when it ends.
func (s *supervisor) start(ctx context.Context, c component) error {
	cmd, err := s.spawn(c)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	go s.watch(ctx, c, cmd)
	return nil
}

func (s *supervisor) spawn(c component) (*exec.Cmd, error) {
	log, err := os.OpenFile(s.layout.Log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.command[0], c.command[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := netns.Do(s.network, cmd.Start); err != nil {
		return nil, err
	}
	s.log.Info("component started", "component", c.name, "pid", cmd.Process.Pid)
	s.updateComponent(c.name, func(sc *state.Component) { sc.PID = cmd.Process.Pid })
	return cmd, nil
}

// watch restarts a component when it ends, at most maxRestarts times, with a growing delay.
func (s *supervisor) watch(ctx context.Context, c component, cmd *exec.Cmd) {
	for restarts := 1; ; restarts++ {
		err := cmd.Wait()
		if ctx.Err() != nil {
			return
		}
		s.log.Error("component ended", "component", c.name, "reason", cmd.ProcessState.String(), "restarts", restarts-1)
		s.updateComponent(c.name, func(sc *state.Component) { sc.PID, sc.Ready, sc.Restarts = 0, false, restarts })
		s.report(exit{c.name, err})
		if restarts > maxRestarts {
			s.giveUp(c.name, fmt.Errorf("ended %d times, at last: %s", restarts, cmd.ProcessState))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(restarts) * 300 * time.Millisecond):
		}
		if cmd, err = s.spawn(c); err != nil {
			s.giveUp(c.name, fmt.Errorf("not started again: %w", err))
			return
		}
		s.updateComponent(c.name, func(sc *state.Component) { sc.Ready = true })
	}
}

// giveUp marks the whole cluster as failed.
func (s *supervisor) giveUp(component string, reason error) {
	log := s.layout.Log("cluster")
	if component != "" {
		log = s.layout.Log(component)
	} else {
		component = "cluster"
	}
	s.log.Error("cluster failed", "component", component, "error", reason)
	s.update(func(st *state.State) {
		st.Phase, st.Failure = state.Failed, &state.Failure{Component: component, Reason: reason.Error(), Log: log}
	})
}

func (s *supervisor) report(e exit) {
	select {
	case s.died <- e:
	default: // read during the start only
	}
}
