package redirect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// Ports is a set of ports: all of them, or a list.
type Ports struct {
	All  bool
	List []PortRange
}

// Ranges is a set of addresses: all of them, or a list of prefixes.
type Ranges struct {
	All  bool
	List []netip.Prefix
}

// ParsePorts reads "*", an empty string for none, or a list as in "8080,9000-9100".
func ParsePorts(s string) (Ports, error) {
	if strings.TrimSpace(s) == "*" {
		return Ports{All: true}, nil
	}
	var ports Ports
	for _, item := range items(s) {
		r, err := parsePortRange(item)
		if err != nil {
			return Ports{}, err
		}
		ports.List = append(ports.List, r)
	}
	return ports, nil
}

func parsePortRange(s string) (PortRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	r := PortRange{}
	var err error
	if r.First, err = parsePort(first); err != nil {
		return r, fmt.Errorf("parse ports %q: %w", s, err)
	}
	if r.Last, err = parsePort(last); err != nil {
		return r, fmt.Errorf("parse ports %q: %w", s, err)
	}
	if r.First > r.Last {
		return r, fmt.Errorf("parse ports %q: the first port is above the last", s)
	}
	return r, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' {
		return 0, fmt.Errorf("%q is not a port: use a number from 1 to 65535, a range as in 9000-9100, or * alone", s)
	}
	return uint16(n), nil
}

// ParseRanges reads "*", an empty string for none, or a list as in "10.0.0.0/8,fd00::/8,192.0.2.1".
func ParseRanges(s string) (Ranges, error) {
	if strings.TrimSpace(s) == "*" {
		return Ranges{All: true}, nil
	}
	var ranges Ranges
	for _, item := range items(s) {
		p, err := parsePrefix(item)
		if err != nil {
			return Ranges{}, err
		}
		ranges.List = append(ranges.List, p)
	}
	return ranges, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse range %q: not an address or a prefix: use 10.0.0.0/8, fd00::/8, 192.0.2.1, or * alone", s)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("parse range %q: write it without ::ffff: as an IPv4 address", s)
	}
	return prefix.Masked(), nil
}

// items splits a list at commas; spaces around an item and empty items mean nothing.
func items(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// String is what ParsePorts reads.
func (p Ports) String() string {
	if p.All {
		return "*"
	}
	words := make([]string, len(p.List))
	for i, r := range p.List {
		words[i] = r.String()
	}
	return strings.Join(words, ",")
}

func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// String is what ParseRanges reads.
func (r Ranges) String() string {
	if r.All {
		return "*"
	}
	words := make([]string, len(r.List))
	for i, p := range r.List {
		words[i] = p.String()
	}
	return strings.Join(words, ",")
}
