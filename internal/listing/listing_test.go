package listing

import (
	"strings"
	"testing"
)

func TestFirst(t *testing.T) {
	for items, want := range map[string]string{"": "", "a": "a", "a b": "a b", "a b c": "a b and 1 more", "a b c d": "a b and 2 more"} {
		list := strings.Fields(items)
		if got := strings.Join(First(list, 2), " "); got != want || strings.Join(list, " ") != items {
			t.Errorf("the first two of %q are %q, want %q; the list is %v now", items, got, want, list)
		}
	}
}
