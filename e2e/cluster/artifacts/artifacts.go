// Package artifacts obtains the programs a cluster is made of and keeps them in a cache: Kubernetes and CoreDNS built from
// the Go module proxy, the rest unpacked from Debian packages. Nothing is installed on the host.
//
// Everything in the cache is keyed by what it was made from and appears in one step, so an interrupted fetch leaves no
// half of anything, and a changed version is a new entry.
package artifacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// Store is the cache together with the sources that it is built from.
type Store struct {
	Cache  string
	Source string    // folder of this module
	Out    io.Writer // progress
}

// step is one artifact: where it lies once it is there, and how to make it.
type step struct {
	name string
	how  string // printed before anything is fetched
	path string
	make func(ctx context.Context, dir string) error // fills dir, which becomes path's folder
}

func (s step) missing() bool {
	_, err := os.Stat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// Ensure makes what is missing and returns where everything is.
func (s *Store) Ensure(ctx context.Context) (state.Artifacts, error) {
	steps, found, err := s.plan()
	if err != nil {
		return state.Artifacts{}, err
	}
	unlock, err := s.lock(filepath.Join(s.Cache, "fetch.lock"))
	if err != nil {
		return state.Artifacts{}, fmt.Errorf("lock cache: %w", err)
	}
	defer unlock()
	var missing []step
	for _, step := range steps {
		if step.missing() {
			missing = append(missing, step)
		}
	}
	if err := s.make(ctx, missing); err != nil {
		return state.Artifacts{}, err
	}
	found.Packages = versions(found.Debian)
	return found, nil
}

func (s *Store) plan() ([]step, state.Artifacts, error) {
	kube, err := s.goProgram("kube", "Kubernetes "+kubernetesVersion, "about 10 minutes on two cores", "-X k8s.io/component-base/version.gitVersion="+kubernetesVersion)
	if err != nil {
		return nil, state.Artifacts{}, err
	}
	dns, err := s.goProgram("coredns", "CoreDNS", "about 2 minutes", "")
	if err != nil {
		return nil, state.Artifacts{}, err
	}
	pause, err := s.pauseImage()
	if err != nil {
		return nil, state.Artifacts{}, err
	}
	debian := s.debian()
	return []step{debian, dns, pause, kube}, state.Artifacts{
		Cache: s.Cache, Kube: kube.path, CoreDNS: dns.path, Debian: debian.path, Pause: pause.path,
	}, nil
}

func (s *Store) make(ctx context.Context, missing []step) error {
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintf(s.Out, "to fetch once, into %s:\n", s.Cache)
	for _, step := range missing {
		fmt.Fprintf(s.Out, "  - %s: %s\n", step.name, step.how)
	}
	for _, step := range missing {
		start := time.Now()
		stop := s.heartbeat(step.name, start)
		err := s.makeOne(ctx, step)
		stop()
		if err != nil {
			return fmt.Errorf("fetch %s: %w", step.name, err)
		}
		fmt.Fprintf(s.Out, "fetched %s (%s)\n", step.name, time.Since(start).Round(time.Second))
	}
	return nil
}

// heartbeat says every now and then that a long step is still going on.
func (s *Store) heartbeat(name string, start time.Time) (stop func()) {
	ticker, done, ended := time.NewTicker(20*time.Second), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(s.Out, "  ... %s (%s)\n", name, time.Since(start).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done); <-ended }
}

func (s *Store) makeOne(ctx context.Context, step step) error {
	final := filepath.Dir(step.path)
	temporary := final + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := step.make(ctx, temporary); err != nil {
		return err
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(temporary, final)
}

// run executes a tool; its output is shown only when it fails.
func run(ctx context.Context, dir string, env []string, name string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, tail(string(output), 30))
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// key is a short hash of everything an artifact is made from.
func key(inputs ...string) string {
	h := sha256.New()
	for _, input := range inputs {
		fmt.Fprintf(h, "%d:%s", len(input), input)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// lock waits until no other process works on the cache.
func (s *Store) lock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		fmt.Fprintf(s.Out, "waiting for another process that fills %s\n", s.Cache)
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}
