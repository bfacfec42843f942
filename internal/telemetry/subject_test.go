package telemetry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSubject(t *testing.T) {
	long := strings.Repeat("x", 80)
	cases := map[string]struct {
		in   Peer
		want string
	}{
		"All":       {Peer{"reviews-v1", "bookinfo", "reviews", "v1"}, "CN=reviews-v1,OU=bookinfo,O=reviews,L=v1"},
		"Some":      {Peer{Workload: "sleep"}, "CN=sleep"},
		"None":      {Peer{}, ""},
		"Injection": {Peer{Workload: "a,OU=admin+O=\\"}, "CN=a_OU_admin_O__"},
		"Long":      {Peer{Workload: long}, "CN=" + strings.Repeat("x", 55) + "-d929cdee"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.in.Subject().String()); diff != "" {
				t.Errorf("Subject() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongNamesStayApart(t *testing.T) {
	long := strings.Repeat("x", 63)
	a, b := fit(long+"-a"), fit(long+"-b")
	if a == b || len(a) != longest || len(b) != longest {
		t.Errorf("%q and %q", a, b)
	}
}
