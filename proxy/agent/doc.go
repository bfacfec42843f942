// Package agent runs beside every Envoy: `mesh-agent proxy sidecar` in an application's pod, `mesh-agent proxy router` in a
// gateway's.
//
//	CA <--- certclient --------> sds.go ---- SDS socket --->  Envoy <--- requests
//	files of DestinationRules -> file_secrets.go --^
//	pilot <-- mutual TLS ------- xds_proxy.go -- XDS socket --> Envoy
//	kubelet, Prometheus -------> health.go, metrics.go, probe.go -- admin --> Envoy
//
// Run gets a certificate first. It then serves the two sockets, writes Envoy's bootstrap (bootstrap.go, a pure function of
// Config, which env.go reads from the pod) and starts Envoy (envoy.go). After that it forwards: configuration as bytes,
// renewed certificates, probes and their results. It starts an Envoy that was
// killed again (restart.go), and ends when Envoy exits or is killed again and again, so that the kubelet restarts both. On SIGTERM it
// drains the proxy before it stops it (drain.go).
//
// The workload's private key exists in the memory of this process and of Envoy only. The agent connects to pilot with mutual
// TLS only.
//
// Every pod of a mesh runs this package, so its size matters: it links none of Envoy's Go types (json.go, discovery.go) and
// nothing of Kubernetes. internal/archtest holds the list of packages that cmd/mesh-agent may link.
package agent
