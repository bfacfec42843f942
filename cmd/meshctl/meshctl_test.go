package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// Each story is a command line (args), what the user has (the other sections, in the current folder; stdin is standard
// input), and what comes out: the exit code and standard error (want.txt), and standard output (want.yaml) with the two
// containers of the sidecar cut down to their names, which injector's own tests show in full.
func TestScripts(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) (want map[string]string) {
		t.Run("run", func(t *testing.T) { want = tell(t, c) }) // the folder changes back before the case is compared
		return want
	})
}

func tell(t *testing.T, c golden.Case) map[string]string {
	t.Chdir(t.TempDir())
	t.Setenv("KUBECONFIG", "none")
	t.Setenv("HOME", t.TempDir())
	for name, text := range c.Files {
		if err := os.WriteFile(filepath.Base(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), strings.Fields(string(c.Files["args"])), streams{bytes.NewReader(c.Files["stdin"]), &out, &errs})
	want := map[string]string{"want.txt": "exit " + strconv.Itoa(code) + "\n" + errs.String()}
	if out.Len() > 0 {
		want["want.yaml"] = shorten(t, out.String())
	}
	return want
}

// versions are as different as the machines that print them.
var versions = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+ go.*`)

func shorten(t *testing.T, stream string) string {
	if !strings.Contains(stream, "\n  ") {
		return versions.ReplaceAllString(stream, "VERSION")
	}
	documents := strings.Split(stream, "---\n")
	for i, text := range documents {
		if !strings.Contains(text, "istio-proxy") {
			continue
		}
		var object any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		cut(object)
		short, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		documents[i] = string(short)
	}
	return strings.Join(documents, "---\n")
}

// cut reduces the sidecar's containers and volumes to what tells them apart.
func cut(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			cut(e)
		}
	case map[string]any:
		name, _ := v["name"].(string)
		if strings.HasPrefix(name, "istio-") && v["image"] != nil {
			owner := workload(v)
			clear(v)
			v["name"] = name
			if owner != "" {
				v["ISTIO_META_OWNER"] = owner
			}
			return
		}
		delete(v, "volumes")
		for _, e := range v {
			cut(e)
		}
	}
}

func workload(container map[string]any) string {
	env, _ := container["env"].([]any)
	for _, e := range env {
		if v, _ := e.(map[string]any); v["name"] == "ISTIO_META_OWNER" {
			return v["value"].(string)
		}
	}
	return ""
}
