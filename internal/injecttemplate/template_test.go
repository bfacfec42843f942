package injecttemplate

import "testing"

func versionOf(t *testing.T, set map[string]any) string {
	t.Helper()
	values, err := Values(set)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := values["version"].(string)
	return text
}

// TestVersion: pods are outdated when a value differs, and not when the same value is written in another form.
func TestVersion(t *testing.T) {
	plain := versionOf(t, nil)
	if len(plain) != 16 {
		t.Fatalf("version %q", plain)
	}
	if same := versionOf(t, map[string]any{"logLevel": "warning", "concurrency": float64(2)}); same != plain {
		t.Errorf("the defaults, written out, have version %s, want %s", same, plain)
	}
	for _, set := range []map[string]any{{"proxyImage": "other"}, {"logLevel": "debug"}, {"imagePullSecrets": []any{map[string]any{"name": "a"}}}} {
		if versionOf(t, set) == plain {
			t.Errorf("%v does not change the version", set)
		}
	}
	before := config
	defer func() { config = before }()
	if config += "\n"; versionOf(t, nil) == plain {
		t.Error("another template does not change the version")
	}
}
