package agent

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ParseLabels parses the labels file of the downward API: one key="value" per line, quoted like a Go string.
func ParseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		key, quoted, ok := strings.Cut(line, "=")
		value, err := strconv.Unquote(quoted)
		if !ok || err != nil || key == "" {
			return nil, fmt.Errorf("parse labels: line %q is not key=\"value\"", line)
		}
		labels[key] = value
	}
	return labels, nil
}

// FormatLabels is the inverse of ParseLabels, in a stable order.
func FormatLabels(labels map[string]string) string {
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&out, "%s=%q\n", key, labels[key])
	}
	return out.String()
}
