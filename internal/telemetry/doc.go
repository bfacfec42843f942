// Package telemetry is the contract of the mesh's request metrics between the three programs that make them.
//
//   - Pilot configures the stats access logger of Envoy with the tags of tags.go, and puts the facts of a workload into the
//     metadata of its endpoints (Peer.Pack).
//   - The CA puts the facts of a workload into the subject of its certificate (Peer.Subject).
//   - The agent reads Envoy's metrics page, expands the tags into the labels of Istio's metrics and adds its own workload
//     (Rewrite).
//
// Envoy gets one tag per group of facts instead of one per label, because it formats every tag of every metric of every
// request. What one program writes the other must read, so both directions are here, with a fuzz target for each.
package telemetry
