package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestRolesOutsideTheCluster starts every role of the control plane as a developer does: on this machine, against the
// cluster's API. Those that serve TLS get their certificate from the citadel that runs here too.
func TestRolesOutsideTheCluster(t *testing.T) {
	readyMesh(t)
	dir := t.TempDir()
	binary := filepath.Join(dir, "mesh-operator")
	build := exec.CommandContext(within(t, 5*time.Minute), "go", "build", "-o", binary, "../../cmd/mesh-operator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	citadel := freeAddress(t)
	identity := func(app string) []string {
		return []string{
			"--ca-address", citadel, "--ca-server-name", "istio-citadel.istio-system.svc",
			"--root-file", save(t, dir, "root.pem", "get", "configmap", "-n", "istio-system", "istio-ca-root-cert", "-o", `jsonpath={.data.root-cert\.pem}`),
			"--token-file", save(t, dir, app+".token", tokenOf(t, app)...),
		}
	}
	kubeconfig := []string{"--kubeconfig", mesh.Kubeconfig}
	runRole(t, binary, "citadel", kubeconfig, []string{"--grpc-address", citadel})
	runRole(t, binary, "operator", kubeconfig)
	runRole(t, binary, "pilot", kubeconfig, []string{"--grpc-address", "", "--insecure-grpc-addr", freeAddress(t)})
	runRole(t, binary, "galley", identity("galley"), []string{"--webhook-address", freeAddress(t)})
	runRole(t, binary, "injector", kubeconfig, identity("sidecar-injector"), []string{
		"--webhook-address", freeAddress(t),
		"--config-file", save(t, dir, "config", "get", "configmap", "-n", "istio-system", "istio-sidecar-injector", "-o", "jsonpath={.data.config}"),
		"--values-file", save(t, dir, "values", "get", "configmap", "-n", "istio-system", "istio-sidecar-injector", "-o", "jsonpath={.data.values}"),
	})
}

// runRole starts a role, waits until it is ready, and ends it with the scenario.
func runRole(t *testing.T, binary, role string, args ...[]string) {
	t.Helper()
	monitoring := freeAddress(t)
	all := []string{role, "--monitoring-address", monitoring}
	for _, a := range args {
		all = append(all, a...)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, all...)
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("%s ended early: %v", role, err)
		}
		_ = cmd.Wait() // killed above
		if t.Failed() {
			t.Logf("log of %s:\n%s", role, log.String())
		}
	})
	must(t, lab.Until(within(t, time.Minute), role+" is ready", func(ctx context.Context) error {
		reply, err := lab.Get(ctx, lab.Request{URL: "http://" + monitoring + "/ready"})
		if err == nil && reply.Status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", reply.Status, reply.Body)
		}
		return err
	}))
}

// tokenOf returns the kubectl arguments for a token like the one a pod of the control plane has mounted.
func tokenOf(t *testing.T, app string) []string {
	t.Helper()
	pod, err := mesh.RunningPod(within(t, 30*time.Second), "istio-system", "istio="+app)
	must(t, err)
	return []string{"create", "token", "-n", "istio-system", pod.Spec.ServiceAccountName, "--audience", "istio-ca",
		"--bound-object-kind", "Pod", "--bound-object-name", pod.Name}
}

// save writes what kubectl prints to a file and returns its path.
func save(t *testing.T, dir, name string, kubectl ...string) string {
	t.Helper()
	text, err := mesh.Kubectl(within(t, 30*time.Second), kubectl...)
	must(t, err)
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(strings.TrimSpace(text)), 0o600))
	return path
}

// freeAddress returns a loopback address that was free just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
