package envoy

import (
	"fmt"
	"regexp/syntax"

	networking "istio.io/api/networking/v1alpha3"
)

// regexBudget is how large a regular expression may become when it is compiled. Envoy refuses the whole resource for one
// that is larger than the proxy's limit (re2.max_program_size.error_level, 32768); a class of characters counts there for
// each of its ranges, and by the bytes of their encoding.
const regexBudget = 8192

// checkPatterns tells which regular expression of a VirtualService no proxy could compile.
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
	if len(pattern) > 1024 {
		return fmt.Errorf("a regular expression of %d characters; 1024 are allowed", len(pattern))
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return err
	}
	cost := 0
	for _, instruction := range program.Inst {
		cost += 1 + 2*len(instruction.Rune)
	}
	if cost > regexBudget {
		return fmt.Errorf("a regular expression that is too large when compiled (%d, %d are allowed)", cost, regexBudget)
	}
	return nil
}
