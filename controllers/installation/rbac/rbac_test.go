package rbac

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
)

// TestConfigIsGenerated: config/rbac is what the charts and the table of kinds ask for.
func TestConfigIsGenerated(t *testing.T) {
	files, err := Files(desired.Components())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../../config/rbac", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale, run make generate (-want +got):\n%s", name, diff)
		}
	}
}

// TestUsersMayWriteEveryDefinedKind: a kind that is defined and that no role of users names could be written by cluster admins
// alone.
func TestUsersMayWriteEveryDefinedKind(t *testing.T) {
	files, err := Files(desired.Components())
	if err != nil {
		t.Fatal(err)
	}
	view, edit, _ := strings.Cut(string(files["users.yaml"]), "\n---\n")
	defined, err := kinds.Defined()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range defined {
		if !strings.Contains(view, k.Resource) || !strings.Contains(edit, k.Resource) {
			t.Errorf("no role of users names %s", k.Resource)
		}
	}
	for role, labels := range map[string][]string{view: {"view", "edit", "admin"}, edit: {"edit", "admin"}} {
		for _, label := range labels {
			if !strings.Contains(role, "rbac.authorization.k8s.io/aggregate-to-"+label+`: "true"`) {
				t.Errorf("a role is not aggregated to %s", label)
			}
		}
	}
	if !strings.Contains(view, "installations") || strings.Contains(edit, "installations") {
		t.Error("users may look at the Installation, and not write it")
	}
}
