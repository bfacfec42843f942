package envoy

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestAMistakeCostsOnePart shows that a panic while one part is built is that part's problem and nobody else's.
func TestAMistakeCostsOnePart(t *testing.T) {
	var nothing map[string]*structpb.Value
	p := drafted([]resource.Object{"VirtualService/default/odd"}, func(*draft) { nothing["x"] = nil })
	if len(p.resources) != 0 || len(p.problems) != 1 || !strings.Contains(p.problems[0].Reason, "internal error") {
		t.Errorf("got %+v, want one problem", p)
	}
}

func TestCheckRegex(t *testing.T) {
	for pattern, ok := range map[string]bool{
		"":                                  true,
		"*":                                 true,
		`^(.*?;)?(user=jason)(;.*)?$`:       true,
		`/v[0-9]+/.*`:                       true,
		`a(b`:                               false,
		`(?=lookahead)`:                     false,
		strings.Repeat("a{1000}", 100):      false,
		strings.Repeat(`\pL`, 300):          false,
		strings.Repeat("a", 1025):           false,
		`[a-z]{1,63}(\.[a-z0-9-]{1,63}){5}`: true,
	} {
		if err := checkRegex(pattern); (err == nil) != ok {
			t.Errorf("checkRegex(%.40q) = %v, want ok %v", pattern, err, ok)
		}
	}
}
