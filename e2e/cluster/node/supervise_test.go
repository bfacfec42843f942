package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

func testDaemon(t *testing.T) *daemon {
	t.Helper()
	layout, log := state.Layout(t.TempDir()), slog.New(slog.DiscardHandler)
	if err := os.MkdirAll(layout.Logs(), 0o755); err != nil {
		t.Fatal(err)
	}
	const here = "/proc/self/ns/net"
	return &daemon{layout: layout, log: log, supervisor: newSupervisor(layout, here, state.State{Name: "t", Phase: state.Starting}, log)}
}

func script(text string) component {
	return component{name: "etcd", command: []string{"/bin/sh", "-c", text}, env: []string{"PATH=/usr/bin:/bin"}}
}

// TestStartNamesEndedComponent expects the component that ended in the error, at once, not the one that was waited for.
func TestStartNamesEndedComponent(t *testing.T) {
	d := testDaemon(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := d.supervisor.start(ctx, script("echo disk is full; exit 3")); err != nil {
		t.Fatal(err)
	}
	never := probe{"kube-apiserver", time.Minute, func(context.Context) error { return errors.New("not yet") }}
	err := d.await(ctx, never)
	if culprit(err) != "etcd" || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	content, err := os.ReadFile(d.layout.Log("etcd"))
	if err != nil || !strings.Contains(string(content), "disk is full") {
		t.Errorf("log %q, %v", content, err)
	}
}

// TestClusterFailsAfterRestarts ends a component more often than it is restarted.
func TestClusterFailsAfterRestarts(t *testing.T) {
	d := testDaemon(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.supervisor.start(ctx, script("exit 1")); err != nil {
		t.Fatal(err)
	}
	for {
		var s state.State
		if err := state.Read(d.layout.State(), &s); err != nil {
			t.Fatal(err)
		}
		if s.Phase == state.Failed {
			if s.Failure.Component != "etcd" || s.Failure.Log != d.layout.Log("etcd") {
				t.Errorf("failure %+v", *s.Failure)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("never given up")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestAwaitTimeout(t *testing.T) {
	d := testDaemon(t)
	err := d.await(t.Context(), probe{"kubelet", 60 * time.Millisecond, func(context.Context) error { return errors.New("cni is missing") }})
	if err == nil || !strings.Contains(err.Error(), "cni is missing") {
		t.Errorf("got %v", err)
	}
}
