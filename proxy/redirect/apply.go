package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Apply replaces the table of t's name in the calling thread's network namespace, in one transaction: on an error the
// kernel keeps what it had.
func Apply(t Table) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet}
	conn.AddTable(table) // so that there is one to delete, also on the first run
	conn.DelTable(table)
	conn.AddTable(table)
	for _, c := range t.Chains {
		addChain(conn, table, c)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("apply table inet %s: %w", t.Name, explain(err))
	}
	return nil
}

// explain says what is missing where the kernel only has a number.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (the container needs to be root with the capability NET_ADMIN)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w (the node's kernel needs nftables with NAT for the family inet: Linux 5.2 or later, modules nft_chain_nat and nft_redir)", err)
	}
	return err
}

func addChain(conn *nftables.Conn, table *nftables.Table, c Chain) {
	chain := conn.AddChain(kernelChain(table, c))
	for _, r := range c.Rules {
		rule := &nftables.Rule{Table: table, Chain: chain}
		for _, condition := range r.If {
			rule.Exprs = append(rule.Exprs, condition.exprs()...)
		}
		rule.Exprs = append(rule.Exprs, r.Then.exprs()...)
		if r.Why != "" {
			rule.UserData = userdata.AppendString(nil, userdata.TypeComment, r.Why)
		}
		conn.AddRule(rule)
	}
}

func kernelChain(table *nftables.Table, c Chain) *nftables.Chain {
	chain := &nftables.Chain{Name: c.Name, Table: table}
	switch c.Hook {
	case Prerouting:
		chain.Hooknum = nftables.ChainHookPrerouting
	case Output:
		chain.Hooknum = nftables.ChainHookOutput
	case NoHook:
		return chain
	}
	accept := nftables.ChainPolicyAccept
	chain.Type, chain.Priority, chain.Policy = nftables.ChainTypeNAT, nftables.ChainPriorityRef(natPriority), &accept
	return chain
}

func (c Condition) exprs() []expr.Any {
	switch {
	case c.TCP:
		return c.meta(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_TCP})
	case c.OverLo:
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, "lo")
		return c.meta(expr.MetaKeyOIFNAME, name)
	case c.UID != nil:
		return c.meta(expr.MetaKeySKUID, binaryutil.NativeEndian.PutUint32(*c.UID))
	case c.GID != nil:
		return c.meta(expr.MetaKeySKGID, binaryutil.NativeEndian.PutUint32(*c.GID))
	case c.Source.IsValid():
		return c.address(c.Source, 12, 8)
	case c.Destination.IsValid():
		return c.address(c.Destination, 16, 24)
	default:
		return c.port()
	}
}

func (c Condition) meta(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: register}, &expr.Cmp{Op: c.op(), Register: register, Data: value}}
}

func (c Condition) op() expr.CmpOp {
	if c.Not {
		return expr.CmpOpNeq
	}
	return expr.CmpOpEq
}

// register is the one that conditions compare in; each loads it anew.
const register = 1

// port compares the destination port, two bytes into the TCP header.
func (c Condition) port() []expr.Any {
	load := &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	first, last := binaryutil.BigEndian.PutUint16(c.Port.First), binaryutil.BigEndian.PutUint16(c.Port.Last)
	if c.Port.First == c.Port.Last {
		return []expr.Any{load, &expr.Cmp{Op: c.op(), Register: register, Data: first}}
	}
	return []expr.Any{load, &expr.Range{Op: c.op(), Register: register, FromData: first, ToData: last}}
}

// address compares an address of the IP header, which begins at offset4 or offset6. In a table for both families the
// family comes first: the same bytes mean something else in the other one's header.
func (c Condition) address(p netip.Prefix, offset4, offset6 uint32) []expr.Any {
	protocol, offset := byte(unix.NFPROTO_IPV4), offset4
	if p.Addr().Is6() {
		protocol, offset = unix.NFPROTO_IPV6, offset6
	}
	length := uint32(p.Addr().BitLen() / 8)
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{protocol}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
	}
	if !p.IsSingleIP() {
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: length,
			Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()), Xor: make([]byte, length),
		})
	}
	return append(exprs, &expr.Cmp{Op: c.op(), Register: register, Data: p.Addr().AsSlice()})
}

func (v Verdict) exprs() []expr.Any {
	switch {
	case v.Accept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	case v.Return:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
	case v.Jump != "":
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: v.Jump}}
	default:
		return []expr.Any{
			&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(v.RedirectTo)},
			&expr.Redir{RegisterProtoMin: register},
		}
	}
}

// AddInboundSource6 gives the loopback interface the address ::6 that Envoy connects to IPv6 applications from; its IPv4
// sibling 127.0.0.6 is there already, as all of 127.0.0.0/8 is. It reports whether the pod has IPv6 at all.
func AddInboundSource6() (bool, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return false, fmt.Errorf("find loopback interface: %w", err)
	}
	address := net.IPNet{IP: inboundSource6.Addr().AsSlice(), Mask: net.CIDRMask(128, 128)}
	err = netlink.AddrReplace(lo, &netlink.Addr{IPNet: &address, Flags: unix.IFA_F_NODAD})
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return false, nil // the kernel's ways to say that IPv6 is off
	case err != nil:
		return false, fmt.Errorf("add %s to lo: %w", inboundSource6, err)
	}
	return true, nil
}
