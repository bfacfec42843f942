package redirect

import "net/netip"

// tableName is the table that Apply owns.
const tableName = "mesh"

// natPriority is that of destination NAT. The name dstnat exists for the prerouting hook only, the number for both.
const natPriority = -100

// inboundChain decides about what reaches the application; both hooks jump to it.
const inboundChain = "inbound"

// Rules returns the table that captures what c asks for.
func Rules(c Config) Table {
	return Table{Name: tableName, Chains: []Chain{
		{Name: inboundChain, Rules: inbound(c)},
		{Name: "prerouting", Hook: Prerouting, Rules: []Rule{
			{If: []Condition{{TCP: true}}, Then: Verdict{Jump: inboundChain}},
		}},
		{Name: "output", Hook: Output, Rules: output(c)},
	}}
}

// inbound captures the ports that are included and not excluded. Envoy's own capture ports are not exempt: somebody who
// connects to them from outside shall meet the policy for unknown ports, not a listener without one.
func inbound(c Config) []Rule {
	var rules []Rule
	for _, r := range expand(c.ExcludeInbound) {
		rules = append(rules, Rule{If: append(tcp(), r...), Then: Verdict{Return: true}})
	}
	for _, r := range expand(c.IncludeInbound) {
		rules = append(rules, Rule{If: append(tcp(), r...), Then: Verdict{RedirectTo: c.InboundPort}})
	}
	return rules
}

// output tells apart, in this order: what is no TCP, what stays in the pod, what the proxy sends, and the rest.
func output(c Config) []Rule {
	rules := []Rule{{If: []Condition{{Not: true, TCP: true}}, Then: Verdict{Accept: true}}}
	rules = append(rules, withinPod(c)...)
	rules = append(rules,
		Rule{If: []Condition{{UID: &c.ProxyUID}}, Then: Verdict{Accept: true}, Why: "the proxy's own connections"},
		Rule{If: []Condition{{GID: &c.ProxyGID}}, Then: Verdict{Accept: true}, Why: "the proxy's own connections"},
	)
	return append(rules, outbound(c)...)
}

// withinPod decides about what leaves through lo, which is everything whose destination is an address of this pod.
func withinPod(c Config) []Rule {
	var rules []Rule
	for _, source := range []netip.Prefix{inboundSource4, inboundSource6} {
		rules = append(rules, Rule{
			If:   []Condition{{OverLo: true}, {Source: source}},
			Then: Verdict{Accept: true},
			Why:  "the proxy hands a captured request to the application",
		})
	}
	for _, loopback := range []netip.Prefix{loopback4, loopback6} {
		rules = append(rules, Rule{
			If:   []Condition{{OverLo: true}, {UID: &c.ProxyUID}, {Not: true, Destination: loopback}},
			Then: Verdict{Jump: inboundChain},
			Why:  "the application called its own Service: its policy applies to it too",
		})
	}
	return append(rules, Rule{If: []Condition{{OverLo: true}}, Then: Verdict{Accept: true}, Why: "the application talks to itself"})
}

// outbound captures what leaves the pod and is not the proxy's. An excluded port or address wins over an included one.
func outbound(c Config) []Rule {
	var rules []Rule
	for _, r := range append(expand(c.ExcludeOutboundPorts), expandRanges(c.ExcludeOutbound)...) {
		rules = append(rules, Rule{If: append(tcp(), r...), Then: Verdict{Accept: true}})
	}
	for _, r := range append(expand(c.IncludeOutboundPorts), expandRanges(c.IncludeOutbound)...) {
		rules = append(rules, Rule{If: append(tcp(), r...), Then: Verdict{RedirectTo: c.OutboundPort}})
	}
	return rules
}

// tcp is stated in every rule that looks at a port or rewrites one: the kernel refuses a redirect without it.
func tcp() []Condition { return []Condition{{TCP: true}} }

// expand returns the conditions of one rule per range of ports; all ports are one rule without a condition.
func expand(p Ports) [][]Condition {
	if p.All {
		return [][]Condition{nil}
	}
	var out [][]Condition
	for _, r := range p.List {
		out = append(out, []Condition{{Port: r}})
	}
	return out
}

func expandRanges(r Ranges) [][]Condition {
	if r.All {
		return [][]Condition{nil}
	}
	var out [][]Condition
	for _, p := range r.List {
		out = append(out, []Condition{{Destination: p}})
	}
	return out
}
