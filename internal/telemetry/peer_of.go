package telemetry

import "github.com/mesh-operator/mesh-operator/internal/canonical"

// PeerOf returns the facts of a pod of a workload. The CA, pilot and the agent read them from the same pod independently.
func PeerOf(workload, namespace string, labels map[string]string) Peer {
	return Peer{
		Workload: workload, Namespace: namespace,
		Service: canonical.Name(labels, workload), Revision: canonical.Revision(labels),
	}
}
