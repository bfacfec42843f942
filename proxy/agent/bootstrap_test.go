package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestBootstrap builds the bootstrap of each golden file's environment. It has to decode into Envoy's own types, and a real Envoy
// validates it.
func TestBootstrap(t *testing.T) {
	golden.Run(t, "testdata/bootstrap_*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		config := caseConfig(t, c)
		b := testBootstrap(t, config)
		envoytest.Validate(t, b)
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b) // in the order of the .proto files
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{
			"want.json": indent(t, text), "want.args": strings.Join(envoyArgs(config), "\n"), "want.env": strings.Join(tracingEnvironment(config), "\n"),
		}
	})
}

// testBootstrap decodes the bootstrap into Envoy's own type.
func testBootstrap(t *testing.T, c Config) *bootstrapv3.Bootstrap {
	t.Helper()
	text, err := Bootstrap(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	return b
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

// FuzzBootstrap: with every name of a pod the bootstrap is valid, admin stays on loopback and the limits are set.
func FuzzBootstrap(f *testing.F) {
	f.Add("reviews-v1-abc", "bookinfo", "10.0.0.7", "app", "reviews", uint64(1<<30))
	f.Fuzz(func(t *testing.T, pod, namespace, ip, label, value string, memory uint64) {
		c, err := Environment(Sidecar, podEnv(map[string]string{"POD_NAME": pod, "POD_NAMESPACE": namespace, "INSTANCE_IP": ip}))
		if err != nil {
			return
		}
		c.Labels, c.MemoryLimit = map[string]string{label: value}, memory
		b := testBootstrap(t, c)
		if err := b.ValidateAll(); err != nil {
			t.Error(err)
		}
		if host := b.Admin.Address.GetSocketAddress().Address; host != "127.0.0.1" {
			t.Errorf("admin listens on %s", host)
		}
		if want := decodeMessage(overloadManager(memory), &overloadv3.OverloadManager{}); !proto.Equal(b.OverloadManager, want) {
			t.Errorf("the overload manager is %v", b.OverloadManager)
		}
	})
}
