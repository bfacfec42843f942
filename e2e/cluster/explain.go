package cluster

import (
	"fmt"
	"os"
	"strings"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// logLines is how much of a log a failure shows.
const logLines = 15

// explain turns a failure into an error with the component, the reason, its last log lines, and the paths of the logs.
func (c *Cluster) explain(f state.Failure) error {
	content, _ := os.ReadFile(f.Log)
	var b strings.Builder
	fmt.Fprintf(&b, "start cluster %s: %s failed: %s\n", c.Name, f.Component, f.Reason)
	if last := lastLines(string(content), logLines); last != "" {
		fmt.Fprintf(&b, "last lines of %s:\n%s\n", f.Log, last)
	}
	fmt.Fprintf(&b, "all logs: %s", c.Layout.Logs())
	return fmt.Errorf("%s", b.String())
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = "  | " + cut(line, 300)
	}
	if len(lines) == 1 && lines[0] == "  | " {
		return ""
	}
	return strings.Join(lines, "\n")
}

func cut(line string, n int) string {
	if len(line) <= n {
		return line
	}
	return line[:n] + "..."
}
