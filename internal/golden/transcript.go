package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Transcript replays conversations, one per file matching pattern. A line that starts at the margin is a command, the
// indented lines below it are the answer; lines that start with # and empty lines stay as they are. start begins a fresh
// conversation per file and returns what answers its commands. `-update` writes the answers.
func Transcript(t *testing.T, pattern string, start func(t *testing.T) func(command string) []string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts match %s (%v)", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) { replay(t, path, start(t)) })
	}
}

func replay(t *testing.T, path string, answer func(string) []string) {
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		got.WriteString(line)
		command := strings.TrimSpace(line)
		if command == "" || strings.HasPrefix(command, "#") {
			continue
		}
		for _, reply := range answer(command) {
			got.WriteString("  " + reply + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s\naccept with: go test -run '%s' -update", path, diff, t.Name())
	}
}
