package rbac

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
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
