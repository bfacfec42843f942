package telemetry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Statistics selects statistics of Envoy by their names, such as cluster.outbound|80||a.shop.svc.cluster.local.upstream_rq_total.
// The injector reads it from a pod's annotations and gives it to the agent as JSON, in the variable StatisticsVariable.
type Statistics struct {
	Prefixes []string `json:"prefixes,omitempty"`
	Suffixes []string `json:"suffixes,omitempty"`
	Regexps  []string `json:"regexps,omitempty"` // RE2, of the whole name
}

// StatisticsVariable is the variable of the proxy's container.
const StatisticsVariable = "PROXY_STATS_INCLUSION"

// Empty is true if nothing is selected.
func (s Statistics) Empty() bool { return len(s.Prefixes)+len(s.Suffixes)+len(s.Regexps) == 0 }

// Check finds what Envoy would refuse in its bootstrap: an empty text, and an expression that is none.
func (s Statistics) Check() error {
	if slices.Contains(slices.Concat(s.Prefixes, s.Suffixes, s.Regexps), "") {
		return errors.New("an entry is empty")
	}
	for _, expression := range s.Regexps {
		if _, err := regexp.Compile(expression); err != nil {
			return fmt.Errorf("%.100q is no regular expression of RE2", expression)
		}
	}
	return nil
}
