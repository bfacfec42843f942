package mesh

import "testing"

func TestNarrower(t *testing.T) {
	for _, c := range []struct {
		a, b, want string
		ok         bool
	}{
		{"*", "a.com", "a.com", true},
		{"*.a.com", "x.a.com", "x.a.com", true},
		{"*.a.com", "*", "*.a.com", true},
		{"*.a.com", "*.x.a.com", "*.x.a.com", true},
		{"*.a.com", "a.com", "", false},
		{"*.a.com", "b.com", "", false},
		{"a.com", "a.com", "a.com", true},
		{"*.a.com", "xa.com", "", false},
	} {
		if got, ok := narrower(c.a, c.b); got != c.want || ok != c.ok {
			t.Errorf("narrower(%s, %s) = %q, %v, want %q, %v", c.a, c.b, got, ok, c.want, c.ok)
		}
		if got, _ := narrower(c.b, c.a); got != c.want {
			t.Errorf("narrower(%s, %s) = %q, want %q", c.b, c.a, got, c.want)
		}
	}
}
