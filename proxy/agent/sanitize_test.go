package agent

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestSanitizeRepeatedComments: pages as naive or several libraries in one process write them are merged as well.
func TestSanitizeRepeatedComments(t *testing.T) {
	for name, c := range map[string]struct{ page, want string }{
		"no end of the last line": {"a_total 1\nb_total 2", "# TYPE a_total untyped\na_total 1\n# TYPE b_total untyped\nb_total 2\n"},
		"a second HELP":           {"# HELP a First.\n# TYPE a gauge\na{x=\"1\"} 1\n# HELP a Second.\na{x=\"2\"} 2\n", "# HELP a First.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n"},
		"a second TYPE":           {"# TYPE a gauge\na{x=\"1\"} 1\n\t#\tTYPE a\tcounter\na{x=\"2\"} 2\n", "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n"},
		"a late TYPE":             {"a 1\n# TYPE a counter\n", "# TYPE a untyped\na 1\n"},
		"a late HELP":             {"a 1\n# HELP a Late.\n", "# HELP a Late.\n# TYPE a untyped\na 1\n"},
		"two pages in one": {
			"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n# TYPE s summary\n# TYPE s_count counter\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n# TYPE h_bucket counter\n# TYPE h histogram\nh_count 1\nh_sum 1",
			"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n",
		},
		"comments of other kinds": {"# HELP\n# TYPE a\n# a\n#\n# TYPE a gauge\na 1\n# HELP a \n# HELP a Real.\n", "# HELP a Real.\n# TYPE a gauge\na 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cleanApp([]byte(c.page))
			if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

// FuzzSanitize: a page that the parser accepts means the same afterwards, and none is refused for what tidy takes out. Quoted names
// are left to the parser.
func FuzzSanitize(f *testing.F) {
	f.Add("# HELP a One.\n# HELP a Two.\n# TYPE a gauge\na 1\n# TYPE a gauge")
	f.Add("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE h_bucket counter\nh_sum 1\nh_count 1\n# TYPE h histogram\n")
	f.Add("#HELP a\tb\n #TYPE a  summary \na-1\na_count 1\n# TYPE a_sum gauge\n")
	f.Add("# TYPE a\n# TYPE a \n# TYPE a gauge\n# TYPE _sum summary\n_sum 1\n")
	f.Add("# TYPE a gauge_histogram\na_bucket 1\n# HELP a_bucket x\n# HELP a y\na\"b\" 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		parse := func(page []byte) (map[string]string, error) {
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
			out := map[string]string{}
			for name, family := range families {
				out[name] = family.String()
			}
			return out, err
		}
		before, refused := parse([]byte(text))
		after, err := parse(sanitize([]byte(text)))
		if refused == nil {
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%v, -before +after:\n%s", err, diff)
			}
		}
		if err == nil || strings.Contains(text, `"`) {
			return
		}
		for _, complaint := range []string{"second HELP", "second TYPE", "unexpected end of input"} {
			if strings.Contains(err.Error(), complaint) {
				t.Errorf("refused: %v", err)
			}
		}
	})
}
