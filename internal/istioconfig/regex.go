package istioconfig

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

const (
	// maxRegex is how long a regular expression may be.
	maxRegex = 1024
	// regexBudget is how large one may become when it is compiled. Envoy refuses the whole resource for one that is larger
	// than the proxy's limit (re2.max_program_size.error_level, 32768); a class of characters counts there for each of its
	// ranges, and by the bytes of their encoding.
	regexBudget = 8192
)

// CheckRegex returns why no proxy could take a regular expression. It never compiles one: a few characters such as
// "(a{1000}){9}" become megabytes, and a tenant could keep the control plane busy with them.
func CheckRegex(expression string) error {
	if len(expression) > maxRegex {
		return fmt.Errorf("has %d characters, more than %d", len(expression), maxRegex)
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return fmt.Errorf("is not a regular expression of RE2: %w", err)
	}
	if escape := unsupportedEscape(expression); escape != "" {
		return fmt.Errorf("has %s, which proxies do not know: they compare bytes, not characters", escape)
	}
	if cost := regexCost(tree); cost > regexBudget {
		return fmt.Errorf("is too large when compiled (%d, %d are allowed)", cost, regexBudget)
	}
	return nil
}

// regexCost estimates the compiled size from above, without writing repetitions out. Parsing bounds what they multiply to.
func regexCost(tree *syntax.Regexp) int {
	cost := 1
	switch tree.Op {
	case syntax.OpLiteral:
		cost = 3 * len(tree.Rune)
	case syntax.OpCharClass:
		cost += 2 * len(tree.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		cost = 9
	}
	for _, sub := range tree.Sub {
		cost += 1 + regexCost(sub)
	}
	if tree.Op == syntax.OpRepeat {
		cost *= max(tree.Min+1, tree.Max, 1)
	}
	return cost
}

// escapes are the escape sequences of Go whose meaning depends on what a character is, and every other one, so that none of
// them is found in the middle of another.
var escapes = regexp.MustCompile(`(?s)\\(?:[pP](?:\{[^}]*\}|.)|x\{[^}]*\}|[0-7]{3}|.)`)

// categories are the classes that Envoy's RE2 has; Go knows more, and longer names for these.
var categories = regexp.MustCompile(`^(Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?)$`)

// unsupportedEscape returns an escape that Go understands and Envoy, which reads Latin-1, does not; "" if there is none. One
// such expression costs everybody whose routes are in the same table.
func unsupportedEscape(expression string) string {
	for _, escape := range escapes.FindAllString(expression, -1) {
		value := strings.Trim(escape[2:], "{}")
		base := 8
		switch escape[1] {
		case 'p', 'P':
			if !categories.MatchString(strings.TrimPrefix(value, "^")) {
				return escape
			}
			continue
		case 'x':
			base = 16
		default:
			value = escape[1:]
		}
		if n, err := strconv.ParseUint(value, base, 32); err == nil && n > 0xff {
			return escape
		}
	}
	return ""
}
