package istioconfig

import (
	"strings"
	"testing"
	"time"
)

func TestCheckRegex(t *testing.T) {
	for pattern, ok := range map[string]bool{
		`^(.*?;)?(user=jason)(;.*)?$`:       true,
		`/v[0-9]+/.*`:                       true,
		`[a-z]{1,63}(\.[a-z0-9-]{1,63}){5}`: true,
		`a(b`:                               false,
		`(?=lookahead)`:                     false,
		strings.Repeat("a{1000}", 100):      false,
		`((a{30}){30}){30}`:                 false,
		strings.Repeat(`\pL`, 300):          false,
		strings.Repeat("a", 1025):           false,
		`\pL\p{Lu}[\P{^Nd}]\x{fF}\377`:      true,
		`\\p{Letter}\Qx{fff}\E\x41`:         true,
		`\p{Letter}`:                        false,
		`[^\P{ASCII}]`:                      false,
		`\p{Han}`:                           false,
		`\p{LC}`:                            false,
		`\x{100}`:                           false,
		`[a-\x{10FFFF}]`:                    false,
		`\400`:                              false,
	} {
		if err := CheckRegex(pattern); (err == nil) != ok {
			t.Errorf("CheckRegex(%.40q) = %v, want ok %v", pattern, err, ok)
		}
	}
}

// TestCheckRegexIsCheap is about ISTIO-SECURITY-2026-006: compiling one of these takes a tenth of a second and tens of
// megabytes, and an object may hold a thousand.
func TestCheckRegexIsCheap(t *testing.T) {
	started := time.Now()
	for range 1000 {
		if CheckRegex(strings.Repeat("(a{1000})", 113)) == nil {
			t.Fatal("accepted")
		}
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("a thousand refusals took %s", took)
	}
}
