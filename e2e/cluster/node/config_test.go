package node

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

func testSettings(dir string) (state.Layout, state.Spec, settings) {
	layout := state.Layout(dir)
	spec := state.Spec{Name: "t", Artifacts: state.Artifacts{Kube: "/cache/kube", CoreDNS: "/cache/coredns", Debian: "/cache/debian"}}
	return layout, spec, newSettings(layout, spec, "/mesh-cluster-t")
}

// TestConfigs renders every file and parses it in the format of its name.
func TestConfigs(t *testing.T) {
	_, _, s := testSettings(t.TempDir())
	if err := writeConfigs(s); err != nil {
		t.Fatal(err)
	}
	for file := range files {
		content, err := os.ReadFile(filepath.Join(s.Config, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "{{") || strings.Contains(string(content), "<no value>") {
			t.Errorf("%s is not rendered completely:\n%s", file, content)
		}
		var value map[string]any
		switch filepath.Ext(file) {
		case ".yaml":
			err = yaml.UnmarshalStrict(content, &value)
		case ".conflist":
			err = json.Unmarshal(content, &value)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, content)
		}
	}
}

// TestEveryTemplateIsUsed compares the list of files with the embedded ones.
func TestEveryTemplateIsUsed(t *testing.T) {
	embedded, err := fs.Glob(configs, "config/*")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"kubeconfig"} // rendered per user
	want = append(want, slices.Collect(maps.Values(files))...)
	slices.Sort(want)
	var got []string
	for _, name := range embedded {
		got = append(got, filepath.Base(name))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPathsBelongToTheCluster checks that a node writes below its folder, or to a path that only its own view has.
func TestPathsBelongToTheCluster(t *testing.T) {
	layout, spec, s := testSettings("/cache/clusters/t")
	private := []string{layout.Dir() + "/", "/cache/", "/run/", "/var/", "/usr/", "/bin", "/sbin", "/root"}
	for name, c := range components(layout, spec, s) {
		for _, argument := range append(c.command, c.env...) {
			_, value, found := strings.Cut(argument, "=")
			if !found || !strings.HasPrefix(value, "/") {
				continue
			}
			if !slices.ContainsFunc(private, func(p string) bool { return strings.HasPrefix(value, p) }) {
				t.Errorf("%s: %s is a path of the host", name, argument)
			}
		}
	}
}

func TestEveryPhaseStartsAComponent(t *testing.T) {
	layout, spec, s := testSettings(t.TempDir())
	d := &daemon{components: components(layout, spec, s)}
	started := map[string]bool{}
	for _, phase := range d.phases() {
		for _, name := range phase.start {
			if _, known := d.components[name]; !known || started[name] {
				t.Errorf("%s is unknown or started twice", name)
			}
			started[name] = true
		}
		for _, probe := range phase.ready {
			if !started[probe.component] {
				t.Errorf("%s is waited for before it is started", probe.component)
			}
			if probe.timeout <= 0 {
				t.Errorf("%s has no timeout", probe.component)
			}
		}
	}
	if len(started) != len(d.components) {
		t.Errorf("started %v of %d components", started, len(d.components))
	}
}

// TestPKI verifies each identity's certificate as client and server, and its kubeconfig.
func TestPKI(t *testing.T) {
	dir := t.TempDir()
	if err := writePKI(dir, "https://10.200.0.1:6443", netns.Default); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no root")
	}
	for _, id := range identities(netns.Default) {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, id.file+".crt"), filepath.Join(dir, id.file+".key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s: %v", id.file, err)
			}
		}
		for _, name := range id.names {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Errorf("%s: %v", id.file, err)
			}
		}
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, id.file+".kubeconfig"))
		if err != nil || config.Host != "https://10.200.0.1:6443" {
			t.Errorf("%s: kubeconfig for %+v, %v", id.file, config, err)
		}
	}
	keys, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v, %v", key, info.Mode(), err)
		}
	}
}

func TestCulprit(t *testing.T) {
	ended := &failure{"coredns", &failure{"etcd", os.ErrClosed}}
	if got := culprit(ended); got != "etcd" {
		t.Errorf("culprit is %q, want the one that ended", got)
	}
	if got := culprit(os.ErrClosed); got != "" {
		t.Errorf("culprit of a general error is %q", got)
	}
}
