package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFilesAreCurrent: the chart has what this package describes.
func TestFilesAreCurrent(t *testing.T) {
	dir := filepath.Join("..", "..", "charts", "grafana-dashboards", "files")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(All()) {
		t.Errorf("%d files for %d dashboards", len(files), len(All()))
	}
	for _, d := range All() {
		want, err := d.JSON()
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, d.FileName())); err != nil || string(got) != string(want) {
			t.Errorf("%s is not as gen writes it (%v): run make generate", d.FileName(), err)
		}
	}
}

// TestDashboardsOfTheArticle: their names are those that people know.
func TestDashboardsOfTheArticle(t *testing.T) {
	var names []string
	for _, d := range All() {
		names = append(names, d.Title)
	}
	want := []string{"Istio Galley Dashboard", "Istio Mesh Dashboard", "Istio Performance Dashboard", "Istio Service Dashboard", "Istio Workload Dashboard", "Istio Mixer Dashboard", "Istio Pilot Dashboard"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

var (
	linkAddress = regexp.MustCompile(`^/d/([a-z-]+)/([a-z-]+)\?(.+)$`)
	linkField   = regexp.MustCompile(`^var-([a-z]+)=\$\{__data\.fields\.([a-z_]+)\}$`)
)

// TestLinksResolve: a link names a dashboard, its variables, and labels that the table has.
func TestLinksResolve(t *testing.T) {
	pages, links := map[string]Dashboard{}, 0
	for _, d := range All() {
		pages[d.UID] = d
	}
	for _, d := range All() {
		for _, p := range panelsOf(d) {
			for _, c := range p.Columns {
				if c.Link == "" {
					continue
				}
				links++
				checkLink(t, p, c.Link, pages)
			}
		}
	}
	if links < 5 {
		t.Errorf("%d links", links)
	}
}

func checkLink(t *testing.T, p Panel, link string, pages map[string]Dashboard) {
	t.Helper()
	address := linkAddress.FindStringSubmatch(link)
	if address == nil {
		t.Errorf("%s: %s is no link to a dashboard", p.Title, link)
		return
	}
	target := pages[address[1]]
	if target.Title == "" || target.FileName() != address[2]+".json" {
		t.Errorf("%s: no dashboard %s", p.Title, link)
	}
	for part := range strings.SplitSeq(address[3], "&") {
		field := linkField.FindStringSubmatch(part)
		if field == nil {
			t.Errorf("%s: %s sets no variable", p.Title, part)
			continue
		}
		if !slices.ContainsFunc(target.Variables, func(v Variable) bool { return v.Name == field[1] }) {
			t.Errorf("%s: %s has no variable %s", p.Title, target.Title, field[1])
		}
		if !strings.Contains(p.Queries[0].Expr, field[2]) {
			t.Errorf("%s: the table has no label %s", p.Title, field[2])
		}
	}
	if len(strings.Split(address[3], "&")) != len(target.Variables) {
		t.Errorf("%s: %s leaves a variable of %s open", p.Title, link, target.Title)
	}
}

var dollar = regexp.MustCompile(`\$([a-z_]+)`)

// TestPanels: titles are not given twice, queries use variables that the dashboard has, legends labels that the query has, and a
// table shows each of its queries.
func TestPanels(t *testing.T) {
	for _, d := range All() {
		declared := []string{"__rate_interval"}
		for _, v := range d.Variables {
			declared = append(declared, v.Name)
		}
		seen := map[string]bool{}
		for _, p := range panelsOf(d) {
			if seen[p.Title] {
				t.Errorf("%s has two panels %q", d.Title, p.Title)
			}
			seen[p.Title] = true
			for _, q := range p.Queries {
				for _, name := range dollar.FindAllStringSubmatch(q.Expr, -1) {
					if !slices.Contains(declared, name[1]) {
						t.Errorf("%s, %s: no variable %s", d.Title, p.Title, name[1])
					}
				}
				for _, label := range regexp.MustCompile(`\{\{([a-z_]+)\}\}`).FindAllStringSubmatch(q.Legend, -1) {
					if strings.Contains(q.Expr, "by (") && !strings.Contains(q.Expr, label[1]) {
						t.Errorf("%s, %s: no label %s", d.Title, p.Title, label[1])
					}
				}
				if p.Type == table && !slices.ContainsFunc(p.Columns, func(c Column) bool { return c.Name == q.Legend }) {
					t.Errorf("%s, %s: no column of %s", d.Title, p.Title, q.Legend)
				}
			}
		}
	}
}

func panelsOf(d Dashboard) []Panel {
	var out []Panel
	for _, row := range d.Rows {
		out = append(out, row.Panels...)
	}
	return out
}
