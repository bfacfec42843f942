package scope

import "github.com/mesh-operator/mesh-operator/xds/mesh"

// Views holds what scopes of one snapshot share. Each snapshot that is published has its own, which starts from the one before.
// It is safe for concurrent use.
type Views struct {
	Snapshot *mesh.Snapshot

	changes    *Memo[*changes] // one, by the empty key
	outbound   *Memo[outboundView]
	partitions *Memo[partition]
	gateways   *Memo[gatewayView]
}

// NewViews returns the views of a snapshot; before, which may be nil, has those of the snapshot before.
func NewViews(before *Views, snapshot *mesh.Snapshot) *Views {
	if before == nil {
		before = &Views{}
	}
	return &Views{
		Snapshot: snapshot,
		changes:  NextMemo(before.changes), outbound: NextMemo(before.outbound),
		partitions: NextMemo(before.partitions), gateways: NextMemo(before.gateways),
	}
}

// Scope returns what a proxy of the class may see. Scopes of successive snapshots are == if nothing in them has changed.
func (v *Views) Scope(p *ProxyClass) Scope {
	s := Scope{Type: p.typ, IPv4: p.ipv4, IPv6: p.ipv6, Settings: v.Snapshot.Settings, Telemetry: v.Snapshot.Settings.Telemetry}
	if p.telemetry != nil {
		s.Telemetry = p.telemetry
	}
	if p.typ == mesh.Router {
		s.Gateway = v.gatewayFor(p)
		return s
	}
	s.Outbound, s.Inbound = v.outboundFor(p.caller), p.inbound
	return s
}
