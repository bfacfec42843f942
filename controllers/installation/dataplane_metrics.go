package installation

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// The metrics of pilot that the operator reads, as its exporter writes them.
var (
	proxyPodsLine   = regexp.MustCompile(`^pilot_proxy_pods\{type="(sidecar|router)",version="([0-9a-z]*)"\} (\S+)$`)
	proxySyncedLine = regexp.MustCompile(`^pilot_proxy_synced (\S+)$`)
)

// parseProxyCounts finds the counts in a page of metrics; that there are none is an error, because then pilot has no
// configuration yet or is of another version.
func parseProxyCounts(page []byte) (proxyCounts, error) {
	out, found := proxyCounts{Sidecars: map[string]int{}}, false
	for line := range bytes.Lines(page) {
		line = bytes.TrimRight(line, "\n")
		if match := proxySyncedLine.FindSubmatch(line); match != nil {
			count, err := parseCount(match[1])
			if err != nil {
				return proxyCounts{}, err
			}
			out.Synced, found = count, true
		}
		match := proxyPodsLine.FindSubmatch(line)
		if match == nil {
			continue
		}
		count, err := parseCount(match[3])
		switch {
		case err != nil:
			return proxyCounts{}, err
		case string(match[1]) == "router":
			out.Gateways += count
		default:
			out.Sidecars[string(match[2])] += count
		}
	}
	if !found {
		return proxyCounts{}, errors.New("its metrics do not count proxies")
	}
	return out, nil
}

// maxPods is more than any cluster has.
const maxPods = 10_000_000

// parseCount reads a whole number, which an exporter writes as a float.
func parseCount(text []byte) (int, error) {
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil || value != math.Trunc(value) || value < 0 || value > maxPods {
		return 0, fmt.Errorf("%q is not a count", text)
	}
	return int(value), nil
}
