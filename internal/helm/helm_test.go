package helm

import (
	"strings"
	"testing"
	"testing/fstest"
)

func charts(template string) fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"library/Chart.yaml":          file("apiVersion: v2\nname: library\nversion: 0.1.0\ntype: library\n"),
		"library/templates/_name.tpl": file(`{{ define "shared.name" }}{{ .Values.name }}-shared{{ end }}`),
		"one/Chart.yaml":              file("apiVersion: v2\nname: one\nversion: 0.1.0\n"),
		"one/templates/a.yaml":        file(template),
	}
}

func TestRender(t *testing.T) {
	cases := map[string]struct {
		reason   string
		template string
		want     string // names
		err      string // part of the error
	}{
		"Objects":  {"every document is an object", "kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: other}\n", "x other", ""},
		"Empty":    {"an untaken branch is no object", "{{ if false }}\nkind: A\n{{ end }}\n---\nkind: B\nmetadata: {name: other}\n", "other", ""},
		"Library":  {"what charts share is in the chart library", "kind: A\nmetadata: {name: {{ include \"shared.name\" . }}}\n", "n-shared", ""},
		"Misspelt": {"a value that is not there is an error", "kind: A\nmetadata: {name: {{ .Values.nmbr }}}\n", "", "nmbr"},
		"NoYAML":   {"what is no YAML is an error that names the file", "kind: [\n", "", "a.yaml"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			fsys := charts(c.template)
			objects, err := Render(fsys, fsys, "one", map[string]any{"name": "n"})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%s: error %v, want one about %q", c.reason, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, object := range objects {
				names = append(names, object.GetName())
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}
