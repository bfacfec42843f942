package injector

import (
	"fmt"
	"path"
	"strconv"
)

// Annotations by which Prometheus finds what to scrape.
const (
	scrapeKey     = "prometheus.io/scrape"
	scrapePortKey = "prometheus.io/port"
	scrapePathKey = "prometheus.io/path"
)

// scraping returns the annotations that point Prometheus at the agent, and passes the pod's own to the agent, which merges the
// application's metrics: strict mutual TLS hides them from Prometheus. With prometheus.istio.io/merge-metrics: "false" the
// pod's own stay as they are.
func (o *options) scraping(annotations map[string]string) (add map[string]string, err error) {
	own := annotations[scrapeKey]
	if !o.mergeMetrics || own != "" && own != "true" {
		return nil, nil
	}
	add = map[string]string{scrapeKey: "true", scrapePortKey: "15020", scrapePathKey: "/stats/prometheus"}
	if own == "" {
		return add, nil
	}
	port := annotations[scrapePortKey]
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("annotation %s: %q is not a port", scrapePortKey, port)
	}
	where := annotations[scrapePathKey]
	if where != "" {
		where = path.Clean("/" + where)
	}
	o.proxy.Metrics, err = variable(struct {
		Scrape string `json:"scrape"`
		Port   string `json:"port"`
		Path   string `json:"path"`
	}{"true", port, where})
	return add, err
}
