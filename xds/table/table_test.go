package table

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzTable works a table and a map alike. Each pair of bytes sets or removes a key.
func FuzzTable(f *testing.F) {
	f.Add([]byte("a1b2c3a0d4b0"), uint8(3))
	f.Add([]byte{1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 3, 0, 1, 0, 2, 7}, uint8(5))
	f.Fuzz(func(t *testing.T, steps []byte, at uint8) {
		got, want := Table[int]{}, map[string]int{}
		earlier, then := got, maps.Clone(want)
		for i := 0; i+1 < len(steps); i += 2 {
			if key, value := strconv.Itoa(int(steps[i])), int(steps[i+1]%8); value == 0 {
				got = got.Without(key)
				delete(want, key)
			} else {
				got = got.With(key, value)
				want[key] = value
			}
			if i/2 == int(at) {
				earlier, then = got, maps.Clone(want)
			}
		}
		check(t, got, want)
		check(t, earlier, then)
		checkDiff(t, earlier, got, then, want)
		checkDiff(t, Of(then), Of(want), then, want)
		for c := range Diff(Of(want), got) {
			t.Errorf("a table made at once differs from one made step by step: %+v", c)
		}
	})
}

func check(t *testing.T, got Table[int], want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, maps.Collect(got.All())); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	keys := []string{}
	for key := range got.All() {
		keys = append(keys, key)
		if got.Get(key) != want[key] {
			t.Errorf("Get(%q) = %d, want %d", key, got.Get(key), want[key])
		}
	}
	if !slices.IsSorted(keys) || got.Len() != len(want) || got.Empty() != (len(want) == 0) {
		t.Errorf("keys %v, length %d, empty %v", keys, got.Len(), got.Empty())
	}
}

func checkDiff(t *testing.T, from, to Table[int], a, b map[string]int) {
	t.Helper()
	patched := maps.Clone(a)
	for c := range Diff(from, to) {
		old, had := a[c.Key]
		now, has := b[c.Key]
		if old != c.Old || had != c.Had || now != c.New || has != c.Has || old == now {
			t.Errorf("change %+v, want %d, %v to %d, %v", c, old, had, now, has)
		}
		if delete(patched, c.Key); c.Has {
			patched[c.Key] = c.New
		}
	}
	if diff := cmp.Diff(b, patched); diff != "" {
		t.Errorf("the changes do not lead there (-want +got):\n%s", diff)
	}
}

type text string

func (s text) Sum() string { return string(s) }

func many(n int) Table[text] {
	entries := map[string]text{}
	for i := range n {
		entries[strconv.Itoa(i)] = "v"
	}
	return Of(entries)
}

// TestSumDependsOnContent has equal sums for equal content only, however it came about.
func TestSumDependsOnContent(t *testing.T) {
	a := many(100)
	b := a.With("7", "other").Without("8").With("7", "v").With("8", "v")
	if Sum(a) != Sum(b) {
		t.Error("equal tables have different sums")
	}
	for name, other := range map[string]Table[text]{"value": a.With("7", "w"), "less": a.Without("7"), "more": a.With("x", "v"), "empty": {}} {
		if Sum(a) == Sum(other) {
			t.Errorf("%s: different tables have one sum", name)
		}
	}
}

// TestVersionsShareNodes counts the nodes that two versions do not share.
func TestVersionsShareNodes(t *testing.T) {
	const n = 100_000
	a, fresh := many(n), 0
	nodes := map[*node[text]]bool{}
	walk(a.root, func(n *node[text]) { nodes[n] = true })
	walk(a.With("500", "w").Without("77").root, func(n *node[text]) {
		if !nodes[n] {
			fresh++
		}
	})
	if fresh > 200 { // two paths of a tree that is at most a few times as deep as log2 of 100,000, which is 17
		t.Errorf("two changes among %d entries made %d nodes", n, fresh)
	}
	if same := a.With("500", "v").Without("no such key"); same != a {
		t.Error("changes that change nothing made another table")
	}
}

func walk(n *node[text], visit func(*node[text])) {
	if n != nil {
		walk(n.left, visit)
		visit(n)
		walk(n.right, visit)
	}
}

func TestGroups(t *testing.T) {
	g := Groups[int]{}.With("a", "x", 1).With("a", "y", 2).With("b", "x", 3)
	if got := maps.Collect(g.Get("a").All()); !maps.Equal(got, map[string]int{"x": 1, "y": 2}) {
		t.Errorf("group a is %v", got)
	}
	if g = g.Without("a", "x").Without("a", "y"); g.Len() != 1 {
		t.Errorf("%d groups are left, want b alone", g.Len())
	}
}
