package agent

import (
	"time"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// statsEvictionInterval is how often Envoy removes the request metrics that nothing has counted since the last time: those of
// a workload that is gone disappear after one to two intervals. A workload that calls less often starts again from zero.
const statsEvictionInterval = time.Hour

// ownWorkload returns the side of the request metrics that is this pod.
func (c Config) ownWorkload() telemetry.Own {
	own := telemetry.Own{Peer: telemetry.PeerOf(c.Workload, c.Namespace, c.Labels)}
	if id, err := spiffe.New(c.TrustDomain, c.Namespace, c.ServiceAccount); err == nil {
		own.Principal = id.String()
	}
	return own
}
