// Package agent is the process beside every Envoy: `mesh-operator proxy sidecar` in an application's pod, `proxy router` in
// a gateway's.
//
//	CA <--- certclient ---> sds.go ---- SDS socket --->  Envoy <--- requests
//	files that rules name --> files.go --^
//	pilot <-- mutual TLS -- xdsproxy.go -- XDS socket --> Envoy
//	kubelet, Prometheus --> health.go, metrics.go, probe.go -- admin --> Envoy
//
// Run gets a certificate first, because nothing works without one; then it serves the two sockets, writes Envoy's bootstrap
// (bootstrap.go, a pure function of Config, which env.go reads from the pod) and starts Envoy (envoy.go). From then on it
// only passes things on: configuration as bytes, renewed certificates, answers to probes. It ends when Envoy ends, so that
// the kubelet restarts both, and on SIGTERM it lets the proxy drain first (drain.go).
//
// The workload's private key exists in the memory of this process and of Envoy and nowhere else. Pilot is spoken to over
// mutual TLS or not at all.
package agent
