package server

import (
	"log/slog"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// problems remembers what was logged, so that a problem is logged when it appears and when it is solved, not at every push.
type problems map[mesh.Problem]bool

// ReportFindings logs what xds/analyze has found in a published snapshot: a finding when it appears and when it is gone.
func (s *Server) ReportFindings(now []mesh.Problem) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	s.metrics.panics.Add(s.findings.report(s.log, now))
}

// report returns how many of the new ones are panics.
func (p *problems) report(log *slog.Logger, now []mesh.Problem) (panics float64) {
	next := problems{}
	for _, problem := range now {
		switch {
		case next[problem] || (*p)[problem]:
		case problem.Stack != "":
			panics++
			log.Error("internal error, configuration has no effect", "object", problem.Object, "reason", problem.Reason, "stack", problem.Stack)
		default:
			log.Warn("configuration has no effect", "object", problem.Object, "field", problem.Field, "reason", problem.Reason)
		}
		next[problem] = true
	}
	for problem := range *p {
		if !next[problem] {
			log.Info("configuration problem is gone", "object", problem.Object, "field", problem.Field)
		}
	}
	*p = next
	return panics
}
