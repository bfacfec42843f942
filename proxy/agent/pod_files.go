package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ReadPodFiles adds the values of files to a configuration: the pod's labels and the container's memory limit.
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

// The memory limit of the container's control group, version 2 and version 1.
var memoryLimitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryLimit returns 0 when the container has none.
func memoryLimit() uint64 {
	for _, file := range memoryLimitFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// "max" in version 2 and a very large number in version 1 mean that there is no limit.
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<50 {
			return n
		}
	}
	return 0
}
