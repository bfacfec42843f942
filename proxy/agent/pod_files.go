package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ReadPodFiles adds to a configuration what stands in files: the pod's labels and how much memory the container may use.
func ReadPodFiles(c Config, labelsFile string) (Config, error) {
	text, err := os.ReadFile(labelsFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("read labels: %w", err)
	}
	if c.Labels, err = ParseLabels(string(text)); err != nil {
		return c, err
	}
	c.MemoryLimit = memoryLimit()
	return c, nil
}

// The container's own control group, of the second and of the first version.
var memoryLimitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryLimit returns 0 when there is none.
func memoryLimit() uint64 {
	for _, file := range memoryLimitFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// "max" and the first version's enormous default both mean none.
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<50 {
			return n
		}
	}
	return 0
}
