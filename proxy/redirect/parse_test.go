package redirect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePorts(t *testing.T) {
	cases := map[string]struct {
		in   string
		want Ports
		says string // part of the error
	}{
		"All":           {in: "*", want: Ports{All: true}},
		"None":          {in: ""},
		"One":           {in: "8080", want: Ports{List: []PortRange{{8080, 8080}}}},
		"List":          {in: " 80, 9000-9100 ,", want: Ports{List: []PortRange{{80, 80}, {9000, 9100}}}},
		"Widest":        {in: "1-65535", want: Ports{List: []PortRange{{1, 65535}}}},
		"Zero":          {in: "0", says: `parse ports "0": "0" is not a port`},
		"TooLarge":      {in: "65536", says: "from 1 to 65535"},
		"Name":          {in: "80,http", says: `"http" is not a port`},
		"Backwards":     {in: "9100-9000", says: "the first port is above the last"},
		"OpenRange":     {in: "9000-", says: `"" is not a port`},
		"StarInList":    {in: "80,*", says: "* alone"},
		"NegativeFirst": {in: "-1", says: `parse ports "-1"`},
		"LeadingZero":   {in: "080", says: `"080" is not a port`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePorts(c.in)
			check(t, c.says, err)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRanges(t *testing.T) {
	prefix := netip.MustParsePrefix
	cases := map[string]struct {
		in   string
		want Ranges
		says string
	}{
		"All":        {in: "*", want: Ranges{All: true}},
		"None":       {in: ""},
		"Prefixes":   {in: "10.0.0.0/8, fd00::/8", want: Ranges{List: []netip.Prefix{prefix("10.0.0.0/8"), prefix("fd00::/8")}}},
		"Address":    {in: "192.0.2.1", want: Ranges{List: []netip.Prefix{prefix("192.0.2.1/32")}}},
		"HostBits":   {in: "10.1.2.3/8", want: Ranges{List: []netip.Prefix{prefix("10.0.0.0/8")}}},
		"Everything": {in: "0.0.0.0/0", want: Ranges{List: []netip.Prefix{prefix("0.0.0.0/0")}}},
		"TooLong":    {in: "10.0.0.0/33", says: `parse range "10.0.0.0/33": not an address or a prefix`},
		"Name":       {in: "example.com", says: "use 10.0.0.0/8"},
		"StarInList": {in: "10.0.0.0/8,*", says: "* alone"},
		"Zone":       {in: "fe80::1%eth0", says: "not an address or a prefix"},
		"Mapped":     {in: "::ffff:10.0.0.0/104", says: "without ::ffff:"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRanges(c.in)
			check(t, c.says, err)
			if diff := cmp.Diff(c.want.String(), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func check(t *testing.T, says string, err error) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("error %v does not say %q", err, says)
	}
}

// What parses prints back as something that parses to the same, and every range is usable.
func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"*", "", "80", "80,9000-9100", "9100-9000", "080", " 1 , 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := ParsePorts(s)
		if err != nil {
			return
		}
		for _, r := range ports.List {
			if r.First == 0 || r.First > r.Last {
				t.Errorf("ParsePorts(%q) holds %v", s, r)
			}
		}
		again, err := ParsePorts(ports.String())
		if diff := cmp.Diff(ports, again); err != nil || diff != "" {
			t.Errorf("ParsePorts(%q) prints %q: %v %s", s, ports, err, diff)
		}
	})
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"*", "", "10.0.0.0/8", "fd00::/8,192.0.2.1", "::ffff:1.2.3.4", "fe80::1%lo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ranges, err := ParseRanges(s)
		if err != nil {
			return
		}
		for _, p := range ranges.List {
			if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
				t.Errorf("ParseRanges(%q) holds %v", s, p)
			}
		}
		again, err := ParseRanges(ranges.String())
		if err != nil || again.String() != ranges.String() {
			t.Errorf("ParseRanges(%q) prints %q: %v", s, ranges, err)
		}
	})
}
