// Package envoytest runs a real Envoy in tests: the same binary that the proxyv2 image holds judges every configuration we
// generate, and carries requests where a judgement is not enough. Each Envoy listens on loopback only, logs into the
// test's folder and ends with the test. A machine without the binary fails the test and says how to fetch it: a skipped
// proof proves nothing.
package envoytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	// A bootstrap refers to extensions by type URL; protojson can only write those that are linked in.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// Version is the Envoy that the images carry and the tests run.
const Version = "1.40.0"

const startTimeout = 20 * time.Second

// Binary returns the path of the Envoy executable: $MESH_ENVOY, or the one that `make envoy` puts into the cache.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("MESH_ENVOY")
	if path == "" {
		path = filepath.Join(cache(), "envoy-"+Version, "envoy")
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		t.Fatalf("no Envoy at %s: run `make envoy` once, or set MESH_ENVOY to an Envoy %s", path, Version)
	}
	return path
}

func cache() string {
	if dir := os.Getenv("MESH_CACHE"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "mesh-operator")
}

// Validate fails the test, with Envoy's words, when Envoy would not start with this bootstrap. Envoy checks everything
// static; what comes over xDS it sees only at run time, so put generated resources into static_resources to have them judged.
func Validate(t testing.TB, b *bootstrapv3.Bootstrap) {
	t.Helper()
	if out, err := Check(t, b); err != nil {
		t.Errorf("envoy rejects the bootstrap: %v\n%s", err, out)
	}
}

// Check is Validate for a test that wants the verdict: Envoy's output and nil when it accepts.
func Check(t testing.TB, b *bootstrapv3.Bootstrap) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, Binary(t), "--mode", "validate", "-l", "warning", "--disable-hot-restart",
		"-c", write(t, t.TempDir(), b)).CombinedOutput()
	return string(out), err
}

// Envoy is a running process. Stop it early or leave it to the end of the test.
type Envoy struct {
	Admin string // host:port of the admin interface

	t       testing.TB
	cmd     *exec.Cmd
	logFile string
	exited  chan struct{}
}

// Start runs Envoy with this bootstrap and returns when its admin interface answers; initialisation may still be going on
// (WaitLive). The admin address is replaced by a free loopback port; listeners keep theirs, so use FreePort or port 0 and Listener.
// Further arguments go to Envoy as they are.
func Start(t testing.TB, b *bootstrapv3.Bootstrap, args ...string) *Envoy {
	t.Helper()
	dir := t.TempDir()
	b = proto.CloneOf(b)
	b.Admin = &bootstrapv3.Admin{Address: Loopback(0)}
	adminFile := filepath.Join(dir, "admin")
	e := &Envoy{t: t, logFile: filepath.Join(dir, "envoy.log"), exited: make(chan struct{})}
	e.cmd = exec.Command(Binary(t), append([]string{"-c", write(t, dir, b), "--disable-hot-restart", "--concurrency", "1",
		"-l", "info", "--log-path", e.logFile, "--file-flush-interval-msec", "100", "--admin-address-path", adminFile}, args...)...)
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves no Envoy behind
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = e.cmd.Wait(); close(e.exited) }()
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("log of envoy %s:\n%s", e.Admin, e.Logs())
		}
	})
	e.Eventually("write its admin address", func() bool {
		address, err := os.ReadFile(adminFile)
		e.Admin = string(address)
		return err == nil && e.Admin != ""
	})
	return e
}

// Stop ends the process and waits until it is gone.
func (e *Envoy) Stop() {
	_ = e.cmd.Process.Kill()
	<-e.exited
}

// Quit lets the process end in its own way, with its logs written, and waits until it is gone.
func (e *Envoy) Quit() {
	e.t.Helper()
	response, err := http.Post("http://"+e.Admin+"/quitquitquit", "", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	response.Body.Close()
	select {
	case <-e.exited:
	case <-time.After(startTimeout):
		e.t.Fatal("timeout: end")
	}
}

// WaitLive returns when the server is LIVE, that is when it has all the configuration it waits for.
func (e *Envoy) WaitLive() {
	e.t.Helper()
	e.Eventually("become live", func() bool { return strings.TrimSpace(e.Get("/ready")) == "LIVE" })
}

// Get returns what the admin interface answers to GET path; "" when it does not.
func (e *Envoy) Get(path string) string {
	response, err := http.Get("http://" + e.Admin + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

// Listener returns the address that the named listener is bound to, "" while it is not.
func (e *Envoy) Listener(name string) string {
	for line := range strings.Lines(e.Get("/listeners")) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), name+"::"); ok {
			return address
		}
	}
	return ""
}

// Stat returns the value of one counter or gauge as text, "" when there is none.
func (e *Envoy) Stat(name string) string {
	for line := range strings.Lines(e.Get("/stats")) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Logs returns what Envoy has logged so far.
func (e *Envoy) Logs() string {
	text, _ := os.ReadFile(e.logFile)
	return string(bytes.TrimSpace(text))
}

// Eventually asks until the condition holds, and fails the test when it does not in time or Envoy has ended.
func (e *Envoy) Eventually(what string, condition func() bool) {
	e.t.Helper()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-e.exited:
			e.t.Fatalf("envoy ended (%v) before it did %s:\n%s", e.cmd.ProcessState, what, e.Logs())
		case <-deadline.C:
			e.t.Fatalf("envoy did not %s within %s:\n%s", what, startTimeout, e.Logs())
		case <-tick.C:
		}
	}
}

// Loopback is a socket address on 127.0.0.1.
func Loopback(port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// Ports that tests are given lie between those that the product uses and those that the kernel gives to outgoing connections,
// of which one could take a port before Envoy does. Test programs run at the same time, so each has a block of them.
const (
	firstBlock = 16_000
	lastBlock  = 29_000
	blockSize  = 1000
)

// block belongs to the process that listens on its first port: this process, until it ends. Each port is given again after all others only,
// for Envoy may not have taken it yet.
var block struct {
	sync.Mutex

	owner net.Listener
	first uint32
	given uint32
}

// FreePort returns a port that nothing uses, and that no other caller was given recently.
func FreePort(t testing.TB) uint32 {
	t.Helper()
	block.Lock()
	defer block.Unlock()
	for first := uint32(firstBlock); block.owner == nil; first += blockSize {
		if first > lastBlock {
			t.Fatal("every block of ports is taken by other tests")
		}
		block.owner, _ = listen("127.0.0.1", first) // taken: the next one
		block.first, block.given = first, rand.N[uint32](blockSize)
	}
	var failed error
	for range blockSize {
		block.given++
		port := block.first + 1 + block.given%(blockSize-1)
		listener, err := listen("", port)
		if err == nil {
			listener.Close()
			return port
		}
		failed = err
	}
	t.Fatal(failed)
	return 0
}

func listen(host string, port uint32) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)))
}

func write(t testing.TB, dir string, b *bootstrapv3.Bootstrap) string {
	t.Helper()
	text, err := protojson.Marshal(b)
	path := filepath.Join(dir, "envoy.json")
	if err := errors.Join(err, os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}
