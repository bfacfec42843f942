// Package golden runs tests whose cases are files: one .txtar per case, with the inputs and the expected output side by
// side, so that a reviewer sees cause and effect in one diff. `go test ./that/package -update` accepts what the code now
// says.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected sections of golden files")

// Case is one .txtar file: its comment, its input sections and what the test says came out.
type Case struct {
	Name    string
	Comment string
	Files   map[string][]byte
	Order   []string // input section names as written
}

// Run calls produce once per .txtar file matching pattern, in a subtest of the file's name. The sections that produce
// returns are compared with those of the same name in the file; a section whose name starts with "want" that produce no
// longer returns is an error too.
func Run(t *testing.T, pattern string, produce func(t *testing.T, c Case) map[string]string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files match %s (%v)", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { run(t, path, produce) })
	}
}

func run(t *testing.T, path string, produce func(t *testing.T, c Case) map[string]string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), Comment: string(archive.Comment), Files: map[string][]byte{}}
	want := map[string]string{}
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "want") {
			want[f.Name] = string(f.Data)
			continue
		}
		c.Files[f.Name] = f.Data
		c.Order = append(c.Order, f.Name)
	}
	got := produce(t, c)
	for name, text := range got {
		if text != "" && !strings.HasSuffix(text, "\n") {
			got[name] = text + "\n"
		}
	}
	if *update {
		rewrite(t, path, archive, got)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s\naccept with: go test -run '%s' -update", path, diff, t.Name())
	}
}

// rewrite keeps the inputs as they are and replaces every expected section, in a stable order.
func rewrite(t *testing.T, path string, archive *txtar.Archive, got map[string]string) {
	var files []txtar.File
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want") {
			files = append(files, f)
		}
	}
	for _, name := range sortedKeys(got) {
		files = append(files, txtar.File{Name: name, Data: []byte(got[name])})
	}
	archive.Files = files
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
