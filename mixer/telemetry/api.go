package telemetry

import (
	"encoding/json"
	"net/http"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

func serveLogs(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := accesslog.ParseQuery(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, s.read(q))
	}
}

func serveUpstreams(u *upstreams) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		of := workload{r.URL.Query().Get("namespace"), r.URL.Query().Get("workload")}
		if of.namespace == "" || of.name == "" {
			http.Error(w, "name a namespace and a workload: /debug/upstreams?namespace=NAMESPACE&workload=WORKLOAD", http.StatusBadRequest)
			return
		}
		writeJSON(w, u.of(of))
	}
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // an error is a client that has gone
}
