package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestBootstrap turns the environment of each golden file into a bootstrap, and lets a real Envoy judge it.
func TestBootstrap(t *testing.T) {
	golden.Run(t, "testdata/bootstrap_*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		config := caseConfig(t, c)
		text, err := MarshalBootstrap(Bootstrap(config))
		if err != nil {
			t.Fatal(err)
		}
		var b bootstrapv3.Bootstrap
		if err := protojson.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		envoytest.Validate(t, &b)
		return map[string]string{"want.json": indent(t, text), "want.args": strings.Join(envoyArgs(config), "\n")}
	})
}

func caseConfig(t *testing.T, c golden.Case) Config {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(string(c.Files["env"])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	config, err := Environment(Role(env["ROLE"]), func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if config.Labels, err = ParseLabels(string(c.Files["labels"])); err != nil {
		t.Fatal(err)
	}
	return config
}

// indent makes the text stable: protojson varies its white space on purpose.
func indent(t *testing.T, text []byte) string {
	t.Helper()
	var compact, out bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzBootstrap: whatever a pod is called, the bootstrap is valid, admin stays on loopback and the limits are there.
func FuzzBootstrap(f *testing.F) {
	f.Add("reviews-v1-abc", "bookinfo", "10.0.0.7", "app", "reviews", uint64(1<<30))
	f.Fuzz(func(t *testing.T, pod, namespace, ip, label, value string, memory uint64) {
		c, err := Environment(Sidecar, podEnv(map[string]string{"POD_NAME": pod, "POD_NAMESPACE": namespace, "INSTANCE_IP": ip}))
		if err != nil {
			return
		}
		c.Labels, c.MemoryLimit = map[string]string{label: value}, memory
		text, err := MarshalBootstrap(Bootstrap(c))
		if err != nil {
			return // not UTF-8: no pod has such a name
		}
		var b bootstrapv3.Bootstrap
		if err := protojson.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if err := b.ValidateAll(); err != nil {
			t.Error(err)
		}
		if host := b.Admin.Address.GetSocketAddress().Address; host != "127.0.0.1" {
			t.Errorf("admin listens on %s", host)
		}
		if b.OverloadManager == nil || !proto.Equal(b.OverloadManager, overloadManager(memory)) {
			t.Error("no overload manager")
		}
	})
}
