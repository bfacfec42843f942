// Package redirect makes a pod's TCP traffic pass through its Envoy. It runs once, in the init container of an injected pod,
// as root with NET_ADMIN inside the pod's own network namespace, and leaves two listeners in charge:
//
//	         arrives at the pod                        leaves the pod
//	eth0 ──► prerouting ──► 15006 ──► application ──► output ──► 15001 ──► eth0
//	                         ▲   (from 127.0.0.6)        │  the proxy itself (uid 1337) passes
//	                         └──── over lo, by the proxy ┘  = the application calls its own Service
//
// [Rules] is pure: a [Config] becomes a [Table], a value that prints itself in the words of nft. [Apply] writes that value
// to the kernel as one batch: the old table goes and the new one comes in the same transaction, for IPv4 and IPv6, so that a
// pod is never half captured and a second run changes nothing.
//
// It never looks at UDP, never runs a program, and touches no table but its own.
package redirect

import (
	"errors"
	"net/netip"
)

// Config says what to capture. Its zero value captures nothing.
type Config struct {
	InboundPort  uint16 // where Envoy listens for what arrives
	OutboundPort uint16 // where Envoy listens for what leaves
	ProxyUID     uint32 // whose connections are never captured on their way out
	ProxyGID     uint32

	IncludeInbound  Ports
	ExcludeInbound  Ports
	IncludeOutbound Ranges
	ExcludeOutbound Ranges
	// IncludeOutboundPorts are captured whatever their address, ExcludeOutboundPorts never.
	IncludeOutboundPorts Ports
	ExcludeOutboundPorts Ports
}

// Validate refuses what would leave the pod without a network or without a capture.
func (c Config) Validate() error {
	var errs []error
	if c.InboundPort == 0 || c.OutboundPort == 0 {
		errs = append(errs, errors.New("capture ports: 0 is not a port that the proxy can listen on"))
	}
	if c.InboundPort == c.OutboundPort {
		errs = append(errs, errors.New("capture ports: inbound and outbound need one each"))
	}
	if c.ProxyUID == 0 || c.ProxyGID == 0 {
		errs = append(errs, errors.New("proxy uid and gid: 0 would exempt every application that runs as root"))
	}
	return errors.Join(errs...)
}

// Envoy connects to the application from these addresses, which nobody else uses: what comes from them was captured once
// and must not be captured again.
var (
	inboundSource4 = netip.MustParsePrefix("127.0.0.6/32")
	inboundSource6 = netip.MustParsePrefix("::6/128")
	loopback4      = netip.MustParsePrefix("127.0.0.0/8")
	loopback6      = netip.MustParsePrefix("::1/128")
)
