package injector

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// statistics adds the texts of an annotation, separated by commas, to one list of the selection.
func statistics(list func(*telemetry.Statistics) *[]string) func(*options, string) error {
	return func(o *options, text string) error {
		var add telemetry.Statistics
		for part := range strings.SplitSeq(text, ",") {
			*list(&add) = append(*list(&add), strings.TrimSpace(part))
		}
		return o.includeStatistics(add)
	}
}

func (o *options) includeStatistics(add telemetry.Statistics) error {
	if err := add.Check(); err != nil {
		return fmt.Errorf("%w: it selects statistics of Envoy by name, such as cluster.outbound", err)
	}
	s := &o.statistics
	s.Prefixes = append(s.Prefixes, add.Prefixes...)
	s.Suffixes = append(s.Suffixes, add.Suffixes...)
	s.Regexps = append(s.Regexps, add.Regexps...)
	return nil
}

// setStatistics gives the selection to the agent.
func (o *options) setStatistics() error {
	if o.statistics.Empty() {
		return nil
	}
	text, err := variable(o.statistics)
	o.variables = append(o.variables, corev1.EnvVar{Name: telemetry.StatisticsVariable, Value: text})
	return err
}

func validStatistics(text string) bool {
	var s telemetry.Statistics
	return json.Unmarshal([]byte(text), &s) == nil && s.Check() == nil && !strings.Contains(text, "$")
}
