package envoy

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// checkPatterns reports the regular expressions of a VirtualService that no proxy could compile.
func checkPatterns(routes []*networking.HTTPRoute) error {
	for i, r := range routes {
		for j, m := range r.GetMatch() {
			tests := []*networking.StringMatch{m.GetUri(), m.GetMethod(), m.GetAuthority()}
			for _, h := range m.GetHeaders() {
				tests = append(tests, h)
			}
			for _, test := range tests {
				if err := checkRegex(test.GetRegex()); err != nil {
					return fmt.Errorf("read http[%d].match[%d]: %w", i, j, err)
				}
			}
		}
	}
	return nil
}

func checkRegex(pattern string) error {
	if pattern == "" || pattern == "*" {
		return nil
	}
	if err := istioconfig.CheckRegex(pattern); err != nil {
		return fmt.Errorf("a regular expression %w", err)
	}
	return nil
}
