package envoy

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// TestPartCacheKeysAreComplete builds every case with one Builder, in two orders, and compares with a Builder that
// remembers nothing: a part whose key forgets an input would show up as another case's part.
func TestPartCacheKeysAreComplete(t *testing.T) {
	paths, err := filepath.Glob(cases)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases (%v)", err)
	}
	scopes := map[string]scope.Scope{}
	for _, path := range paths {
		_, scopes[path] = view(t, readCase(t, path))
	}
	for range 2 {
		shared := NewBuilder()
		for _, path := range paths {
			fresh, _ := NewBuilder().Build(scopes[path])
			warm, _ := shared.Build(scopes[path])
			if diff := cmp.Diff(contents(fresh), contents(warm)); diff != "" {
				t.Errorf("%s differs (-fresh +remembered):\n%s", path, diff)
			}
		}
		slices.Reverse(paths)
	}
}

func contents(set *resource.Set) map[string]string {
	out := map[string]string{}
	for _, typ := range resource.Types {
		for name, r := range set.Of(typ).All() {
			out[typ.Short()+" "+name] = fmt.Sprint(r.Version, r.Sources)
		}
	}
	return out
}

func TestCacheEvictsUnusedEntries(t *testing.T) {
	c := newCache(2, 100, func(int) int { return 1 })
	computed := 0
	get := func(key string) { c.get(key, func() int { computed++; return computed }) }
	for _, key := range []string{"a", "b", "a", "c", "a", "d", "a", "a"} {
		get(key)
	}
	if computed != 4 {
		t.Errorf("computed %d values, want 4: a is asked for all the time", computed)
	}
	if get("b"); computed != 5 {
		t.Errorf("computed %d values, want 5: b was forgotten", computed)
	}
}

// TestCacheEvictsByBytes has values of 40 bytes, of which three fill a generation.
func TestCacheEvictsByBytes(t *testing.T) {
	c := newCache(1000, 100, func(string) int { return 40 })
	for i := range 100 {
		c.get(fmt.Sprint(i), func() string { return "value" })
		if n := len(c.young) + len(c.old); n > 6 {
			t.Fatalf("after %d values %d are remembered, want 6 at most", i+1, n)
		}
	}
	if c.get("99", func() string { return "again" }) != "value" {
		t.Error("the last value is not remembered")
	}
}
