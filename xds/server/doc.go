// Package server is the last stage of pilot: it gives every proxy the resources of its scope and nothing else.
//
//	Publish(snapshot) ──▶ push.go ──set, what changed──▶ connection ──▶ Session ──▶ stream.go ──▶ Envoy
//
// session.go and subscription.go are the delta protocol as a state machine without I/O; order.go is the order in which a
// proxy learns of changes, as a table; push.go decides which proxies a new snapshot concerns, and leaves it in pending_update.go for the
// stream to take; stream.go is the gRPC around a session; authenticate.go decides who may have a session at all.
// codec.go writes responses without copying what many proxies get.
// pod_quota.go, handshake_limit.go and rejection_log.go bound what one client may use: memory, handshakes, log lines.
//
// There are no queues: a connection holds the set that the proxy should have, and a proxy that is slow gets the newest one
// when it is ready for it. A version is the hash of the content, so replicas and restarts agree on what a proxy has.
package server
