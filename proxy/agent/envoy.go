package agent

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const defaultListenerDrain = 45 * time.Second

// envoyArgs returns Envoy's command line.
func envoyArgs(c Config) []string {
	args := []string{
		"-c", c.BootstrapFile(),
		"-l", c.LogLevel,
		"--disable-hot-restart", // hot restart would need a second process that takes over the sockets
		"--drain-time-s", strconv.Itoa(int(cmp.Or(c.ListenerDrain, defaultListenerDrain).Seconds())),
		"--drain-strategy", "immediate",
		"--file-flush-interval-msec", "1000",
		"--local-address-ip-version", ipVersion(c),
	}
	if c.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(c.Concurrency))
	}
	return args
}

func ipVersion(c Config) string {
	if c.IPs[0].Is6() {
		return "v6"
	}
	return "v4"
}

// process is a running Envoy.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and was reaped
	log    *slog.Logger
}

func startEnvoy(c Config, output io.Writer, log *slog.Logger) (*process, error) {
	if err := writeBootstrap(c); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(c.EnvoyPath, envoyArgs(c)...), exited: make(chan struct{}), log: log}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.Env = append(os.Environ(), tracingEnvironment(c)...)
	p.cmd.Dir = c.Dir // a core file would go into this small volume in memory
	// Its own process group, so that Ctrl-C on a terminal reaches the agent only, which drains first. The kernel kills Envoy when
	// the agent dies.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	log.Info("envoy started", "pid", p.cmd.Process.Pid)
	go func() {
		_ = p.cmd.Wait() // ProcessState has the result
		close(p.exited)
	}()
	return p, nil
}

// writeBootstrap replaces the file atomically.
func writeBootstrap(c Config) error {
	text, err := Bootstrap(c)
	if err != nil {
		return fmt.Errorf("encode bootstrap: %w", err)
	}
	temporary := filepath.Join(c.Dir, ".envoy.json")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return fmt.Errorf("write bootstrap: %w", err)
	}
	if err := os.Rename(temporary, c.BootstrapFile()); err != nil {
		return fmt.Errorf("write bootstrap: %w", err)
	}
	return nil
}

// wait returns an error with Envoy's exit state, or nil when ctx ends first.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return fmt.Errorf("envoy ended: %s", p.cmd.ProcessState)
	case <-ctx.Done():
		return nil
	}
}

// killed reports whether a signal has ended it.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// stop sends SIGTERM to Envoy, and SIGKILL after five seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timeout := time.NewTimer(5 * time.Second)
	defer timeout.Stop()
	select {
	case <-p.exited:
	case <-timeout.C:
		p.log.Warn("envoy did not exit after SIGTERM, killing it")
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.log.Info("envoy stopped", "state", p.cmd.ProcessState.String())
}
