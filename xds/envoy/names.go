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
