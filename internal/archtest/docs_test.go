package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var namedTest = regexp.MustCompile("`([a-z0-9_/]+_test\\.go):((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestSecurityNamesTests keeps docs/security.md true: each test that it names exists, and both languages name the same.
func TestSecurityNamesTests(t *testing.T) {
	english, chinese := testsNamed(t, "docs/security.md"), testsNamed(t, "docs/zh/security.md")
	if len(english) == 0 || !slices.Equal(english, chinese) {
		t.Errorf("docs/security.md names %d tests, docs/zh/security.md %d; want the same ones in one order", len(english), len(chinese))
	}
	for _, name := range english {
		path, function, _ := strings.Cut(name, ":")
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil || !strings.Contains(string(text), "\nfunc "+function+"(") {
			t.Errorf("docs/security.md names %s, which does not exist (%v)", name, err)
		}
	}
}

func testsNamed(t *testing.T, document string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range namedTest.FindAllStringSubmatch(string(text), -1) {
		names = append(names, match[1]+":"+match[2])
	}
	return names
}
