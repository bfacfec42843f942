package state

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStart(t *testing.T) {
	const rest = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200\n"
	for stat, want := range map[string]uint64{
		"7 (sleep) " + rest:        987654,
		"7 (a (b) c) " + rest:      987654,
		"7 (evil) R 1 ) ) " + rest: 987654,
	} {
		got, err := parseStart(stat)
		if err != nil || got != want {
			t.Errorf("parseStart(%q) = %d, %v, want %d", stat, got, err, want)
		}
	}
	for _, stat := range []string{"", "7", "7 (sleep)", "7 (sleep) S 1 2"} {
		if got, err := parseStart(stat); err == nil {
			t.Errorf("parseStart(%q) = %d, want an error", stat, got)
		}
	}
}

func FuzzParseStart(f *testing.F) {
	f.Add("7 (sleep) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200")
	f.Fuzz(func(t *testing.T, name string) {
		// Whatever a program calls itself, its start is found.
		got, err := parseStart("7 (" + name + ") S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 1000 200")
		if err != nil || got != 42 {
			t.Errorf("name %q: %d, %v", name, got, err)
		}
	})
}

func TestAlive(t *testing.T) {
	self, err := FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Error("this process is not alive")
	}
	if (Process{PID: self.PID, Start: self.Start - 1}).Alive() {
		t.Error("an earlier process with the same number is alive")
	}
	if (Process{}).Alive() || (Process{PID: -1}).Alive() || (Process{PID: 1}).Alive() {
		t.Error("no process is alive")
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if (Process{PID: ended.Process.Pid, Start: self.Start}).Alive() {
		t.Error("an ended process is alive")
	}
}

func TestReadWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	want := State{
		Name: "x", Phase: Failed, Failure: &Failure{Component: "etcd", Reason: "ended", Log: "/log"},
		Daemon: Process{PID: 3, Start: 4}, Components: []Component{{Name: "etcd", PID: 5}}, URLs: []URL{{"a/b/c", "http://127.0.0.1:1"}},
	}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	var got State
	if err := Read(path, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var none State
	if err := Read(path+".missing", &none); err != nil {
		t.Errorf("a missing file is no error, got %v", err)
	}
	if err := os.WriteFile(path, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(path, &got); err == nil {
		t.Error("half a file is read without an error")
	}
}
