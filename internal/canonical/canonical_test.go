package canonical

import (
	"strings"
	"testing"
)

func TestNameAndRevision(t *testing.T) {
	long := strings.Repeat("a", 62) + "-b"
	cases := map[string]struct {
		labels         map[string]string
		workload       string
		name, revision string
	}{
		"None":       {nil, "sleep-v1", "sleep-v1", "latest"},
		"App":        {map[string]string{"app": "sleep", "version": "v1"}, "w", "sleep", "v1"},
		"Kubernetes": {map[string]string{"app": "a", "app.kubernetes.io/name": "b", "version": "1", "app.kubernetes.io/version": "2"}, "w", "b", "2"},
		"Canonical":  {map[string]string{"app": "a", "service.istio.io/canonical-name": "c", "service.istio.io/canonical-revision": "3"}, "w", "c", "3"},
		"Long":       {nil, long, strings.Repeat("a", 62), "latest"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Name(c.labels, c.workload); got != c.name {
				t.Errorf("Name = %q, want %q", got, c.name)
			}
			if got := Revision(c.labels); got != c.revision {
				t.Errorf("Revision = %q, want %q", got, c.revision)
			}
		})
	}
}
