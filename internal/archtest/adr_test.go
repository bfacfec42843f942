package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	adrStatus = regexp.MustCompile(`^# \d+\. .+\n\n\*\*Status:\*\* (accepted|superseded by \[.+\]\(.+\))[.,]`)
	docLink   = regexp.MustCompile(`\]\(([^)#:]+\.md)(#[^)]*)?\)`)
)

// TestDecisionsHaveAStatus keeps docs/adr/README.md true: every record begins with its number, title and status.
func TestDecisionsHaveAStatus(t *testing.T) {
	records, err := filepath.Glob("../../docs/adr/[0-9]*.md")
	if err != nil || len(records) == 0 {
		t.Fatalf("found %d records: %v", len(records), err)
	}
	for _, path := range records {
		if text := readFile(t, path); !adrStatus.MatchString(text) {
			t.Errorf("%s has no status: want a line `**Status:** accepted.` or `**Status:** superseded by [N](file)` below its title", path)
		}
	}
}

// TestDocumentLinks follows the links between the documents of the repository.
func TestDocumentLinks(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md", "../../bench/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	links := 0
	for _, path := range documents {
		for _, match := range docLink.FindAllStringSubmatch(readFile(t, path), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			}
		}
	}
	if links == 0 {
		t.Error("found no links")
	}
}

// TestTranslationsExist: each page for users is there in both languages.
func TestTranslationsExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		translation := filepath.Join("../../docs/zh", filepath.Base(page))
		if _, err := os.Stat(translation); err != nil && !strings.HasSuffix(page, "README.md") {
			t.Errorf("%s has no translation %s", page, translation)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
