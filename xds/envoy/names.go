package envoy

import (
	"strconv"
	"strings"
)

// Clusters that every sidecar has, under the names that operators know.
const (
	passthroughCluster        = "PassthroughCluster"
	blackHoleCluster          = "BlackHoleCluster"
	inboundPassthroughCluster = "InboundPassthroughCluster"
)

// Ports that the redirection sends a pod's traffic to.
const (
	outboundPort = 15001
	inboundPort  = 15006
)

// ownPorts are those that every proxy and its agent use themselves; no configuration may claim them.
var ownPorts = map[uint32]bool{15000: true, outboundPort: true, 15004: true, inboundPort: true, 15020: true, 15021: true, 15090: true}

// inboundSource is what a proxy connects to its own workload from; the redirection lets it pass.
const (
	inboundSource  = "127.0.0.6"
	inboundSource6 = "::6"
)

func outboundName(port uint32, subset, host string) string {
	return "outbound|" + number(port) + "|" + subset + "|" + host
}

// sniName is the server name of mutual TLS to an outbound cluster; a dot separates, since a bar is not a host's character.
func sniName(port uint32, subset, host string) string {
	return "outbound_." + number(port) + "_." + subset + "_." + host
}

func inboundName(port uint32) string { return "inbound|" + number(port) + "||" }

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func spiffeID(trustDomain, account string) string {
	namespace, name, _ := strings.Cut(account, "/")
	return "spiffe://" + trustDomain + "/ns/" + namespace + "/sa/" + name
}
