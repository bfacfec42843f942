package apiserver

import (
	"testing"
	"time"
)

// TestInstall runs the operator's whole way: stages, inventory, status. A mesh at rest costs no write.
func TestInstall(t *testing.T) {
	clean(t)
	o := operate(t, intact)
	create(t, nil)
	ready(t, 60*time.Second)
	settle(t, o)
	if wrote := reconciled(t, o); len(wrote) > 0 {
		t.Errorf("a look at a mesh at rest wrote %q", wrote)
	}
	remove(t)
	gone(t, 60*time.Second)
}
