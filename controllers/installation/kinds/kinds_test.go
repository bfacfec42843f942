package kinds

import "testing"

// TestAppliedKindsAreWatchedAndRemoved: an object that is applied and not watched is never repaired, one that is not removed
// stays for ever.
func TestAppliedKindsAreWatchedAndRemoved(t *testing.T) {
	for _, k := range All() {
		if k.Applied && (k.Watch == NotWatched || k.Removal == NotRemoved) {
			t.Errorf("%s is applied, but not watched or not removed: %+v", k.Kind, k)
		}
		if k.Workload && k.Watch != Full {
			t.Errorf("%s is a workload whose status is not watched", k.Kind)
		}
		if k.Removal == WithClusterAccess && k.Namespaced || k.Removal == WithAccess && !k.Namespaced {
			t.Errorf("%s is removed at the wrong scope", k.Kind)
		}
	}
}

// TestEveryDefinedKindKeepsTheNamespace, because its objects are users' configuration.
func TestEveryDefinedKindKeepsTheNamespace(t *testing.T) {
	defined, err := Defined()
	if err != nil || len(defined) < 4 {
		t.Fatalf("%d kinds are defined, %v", len(defined), err)
	}
	for _, k := range defined {
		if !k.KeepsNamespace || !k.Namespaced || k.Resource == "" || k.Version == "" {
			t.Errorf("%+v", k)
		}
	}
}
