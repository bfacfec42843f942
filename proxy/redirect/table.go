package redirect

import (
	"fmt"
	"net/netip"
	"strings"
)

// Table is an nftables table of family inet as a value: it can be compared, printed and applied.
type Table struct {
	Name   string
	Chains []Chain
}

// Chain is a list of rules. A chain without a hook runs only when a rule jumps to it.
type Chain struct {
	Name  string
	Hook  Hook
	Rules []Rule
}

// Hook is where the kernel enters a chain.
type Hook string

// The hooks at which a connection's destination can still change.
const (
	NoHook     Hook = ""
	Prerouting Hook = "prerouting"
	Output     Hook = "output"
)

// Rule applies its verdict to packets that meet all its conditions.
type Rule struct {
	If   []Condition
	Then Verdict
	Why  string
}

// Condition is one test of a packet. Exactly one of its fields beside Not is set.
type Condition struct {
	Not         bool
	TCP         bool
	OverLo      bool // leaves through the loopback interface
	UID         *uint32
	GID         *uint32
	Source      netip.Prefix
	Destination netip.Prefix
	Port        PortRange // the destination's
}

// Verdict is what happens to a packet. Exactly one of its fields is set.
type Verdict struct {
	Accept     bool   // leave it as it is
	Return     bool   // back to the rule after the jump
	Jump       string // to a chain
	RedirectTo uint16 // to a port of this host
}

// String prints the table as nft would take it.
func (t Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", t.Name)
	for i, c := range t.Chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		c.print(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

func (c Chain) print(b *strings.Builder) {
	fmt.Fprintf(b, "  chain %s {\n", c.Name)
	if c.Hook != NoHook {
		fmt.Fprintf(b, "    type nat hook %s priority %d; policy accept;\n", c.Hook, natPriority)
	}
	for _, r := range c.Rules {
		fmt.Fprintf(b, "    %s\n", r)
	}
	b.WriteString("  }\n")
}

func (r Rule) String() string {
	var words []string
	for _, c := range r.If {
		words = append(words, c.String())
	}
	words = append(words, r.Then.String())
	if r.Why != "" {
		words = append(words, "comment", fmt.Sprintf("%q", r.Why))
	}
	return strings.Join(words, " ")
}

func (c Condition) String() string {
	is := ""
	if c.Not {
		is = "!= "
	}
	switch {
	case c.TCP:
		return "meta l4proto " + is + "tcp"
	case c.OverLo:
		return "oifname " + is + `"lo"`
	case c.UID != nil:
		return fmt.Sprintf("meta skuid %s%d", is, *c.UID)
	case c.GID != nil:
		return fmt.Sprintf("meta skgid %s%d", is, *c.GID)
	case c.Source.IsValid():
		return fmt.Sprintf("%s saddr %s%s", family(c.Source), is, short(c.Source))
	case c.Destination.IsValid():
		return fmt.Sprintf("%s daddr %s%s", family(c.Destination), is, short(c.Destination))
	default:
		return "tcp dport " + is + c.Port.String()
	}
}

func (v Verdict) String() string {
	switch {
	case v.Accept:
		return "accept"
	case v.Return:
		return "return"
	case v.Jump != "":
		return "jump " + v.Jump
	default:
		return fmt.Sprintf("redirect to :%d", v.RedirectTo)
	}
}

func family(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "ip"
	}
	return "ip6"
}

// short leaves out the length of a prefix that is one address, as nft does.
func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
