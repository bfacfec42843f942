package redirect

import (
	"net/netip"
	"testing"

	"github.com/google/nftables"
)

// The tests below need root: each makes network namespaces of its own, a pod with a listener for everything that the
// redirect could reach and a client at the other end of a cable, and asks who answered.

const (
	podAddress4, podAddress6       = "10.77.0.2", "fd77::2"
	clientAddress4, clientAddress6 = "10.77.0.1", "fd77::1"
)

func TestInboundIsRedirected(t *testing.T) {
	pod, client := cable(t)
	pod.apply(t, standard(t))
	cases := map[string]struct{ to, want string }{
		"Application":   {podAddress4 + ":8080", "proxy inbound, was for 10.77.0.2:8080"},
		"NoListener":    {podAddress4 + ":9999", "proxy inbound, was for 10.77.0.2:9999"},
		"CapturePort":   {podAddress4 + ":15001", "proxy inbound, was for 10.77.0.2:15001"},
		"StatusPort":    {podAddress4 + ":15021", "application"},
		"Application6":  {"[" + podAddress6 + "]:8080", "proxy inbound, was for [fd77::2]:8080"},
		"StatusPort6":   {"[" + podAddress6 + "]:15021", "application"},
		"MetricsPort":   {podAddress4 + ":15090", "application"},
		"MergedMetrics": {podAddress4 + ":15020", "application"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { client.expect(t, caller{}, c.to, c.want) })
	}
}

func TestOutboundIsRedirected(t *testing.T) {
	pod, client := cable(t)
	client.answer(t, netip.MustParseAddrPort(clientAddress4+":80"), "outside")
	client.answer(t, netip.MustParseAddrPort("["+clientAddress6+"]:80"), "outside")
	pod.apply(t, standard(t))
	app, proxy, group := caller{uid: 1000, gid: 1000}, caller{uid: 1337, gid: 1337}, caller{uid: 1000, gid: 1337}
	fromInbound := caller{uid: 1337, gid: 1337, from: "127.0.0.6"}
	fromInbound6 := caller{uid: 1337, gid: 1337, from: "::6"}
	cases := map[string]struct {
		who      caller
		to, want string
	}{
		"Application":             {app, clientAddress4 + ":80", "proxy outbound, was for 10.77.0.1:80"},
		"ApplicationAsRoot":       {caller{}, clientAddress4 + ":80", "proxy outbound, was for 10.77.0.1:80"},
		"Application6":            {app, "[" + clientAddress6 + "]:80", "proxy outbound, was for [fd77::1]:80"},
		"Proxy":                   {proxy, clientAddress4 + ":80", "outside"},
		"Proxy6":                  {proxy, "[" + clientAddress6 + "]:80", "outside"},
		"ProxysGroup":             {group, clientAddress4 + ":80", "outside"},
		"ApplicationToLocalhost":  {app, "127.0.0.1:8080", "application"},
		"ApplicationToLocalhost6": {app, "[::1]:8080", "application"},
		"ApplicationToItself":     {app, podAddress4 + ":8080", "application"},
		"ProxyToOwnService":       {proxy, podAddress4 + ":8080", "proxy inbound, was for 10.77.0.2:8080"},
		"ProxyToOwnService6":      {proxy, "[" + podAddress6 + "]:8080", "proxy inbound, was for [fd77::2]:8080"},
		"ProxyToLocalhost":        {proxy, "127.0.0.1:8080", "application"},
		"ProxyToLocalhost6":       {proxy, "[::1]:8080", "application"},
		"ProxyHandsOver":          {fromInbound, podAddress4 + ":8080", "application"},
		"ProxyHandsOver6":         {fromInbound6, "[" + podAddress6 + "]:8080", "application"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { pod.expect(t, c.who, c.to, c.want) })
	}
}

func TestIncludeAndExcludeLists(t *testing.T) {
	pod, client := cable(t)
	for _, port := range []uint16{80, 3306, 6380, 443} {
		client.answer(t, netip.AddrPortFrom(netip.MustParseAddr(clientAddress4), port), "outside")
	}
	config := standard(t)
	for name, value := range map[string]string{
		"include-inbound-ports": "8000-8100", "include-outbound-ranges": "10.77.0.0/24,192.0.2.0/24",
		"exclude-outbound-ports": "3306,6379-6381", "exclude-outbound-ranges": "10.77.0.128/25",
	} {
		set(t, &config, name, value)
	}
	pod.apply(t, config)
	client.expect(t, caller{}, podAddress4+":8080", "proxy inbound, was for 10.77.0.2:8080")
	client.expect(t, caller{}, podAddress4+":15090", "application")
	pod.expect(t, caller{}, clientAddress4+":80", "proxy outbound, was for 10.77.0.1:80")
	pod.expect(t, caller{}, clientAddress4+":3306", "outside")
	pod.expect(t, caller{}, clientAddress4+":6380", "outside")

	set(t, &config, "include-outbound-ranges", "192.0.2.0/24")
	set(t, &config, "include-outbound-ports", "443")
	pod.apply(t, config)
	pod.expect(t, caller{}, clientAddress4+":80", "outside")
	pod.expect(t, caller{}, clientAddress4+":443", "proxy outbound, was for 10.77.0.1:443")
}

func TestApplyTwiceReplacesTheTable(t *testing.T) {
	pod, _ := cable(t)
	want := map[string]int{}
	for _, c := range Rules(standard(t)).Chains {
		want[c.Name] = len(c.Rules)
	}
	for range 2 {
		pod.apply(t, standard(t))
		pod.run(t, caller{}, func() {
			conn, err := nftables.New()
			if err != nil {
				t.Error(err)
				return
			}
			chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
			if err != nil || len(chains) != len(want) {
				t.Errorf("%d chains, not %d (%v)", len(chains), len(want), err)
			}
			for _, c := range chains {
				if rules, err := conn.GetRules(c.Table, c); err != nil || len(rules) != want[c.Name] {
					t.Errorf("chain %s has %d rules, not %d (%v)", c.Name, len(rules), want[c.Name], err)
				}
			}
		})
	}
}

func TestApplyChangesNothingOnError(t *testing.T) {
	pod, client := cable(t)
	pod.apply(t, standard(t))
	broken := Rules(standard(t))
	broken.Chains[1].Rules = []Rule{{Then: Verdict{Jump: "no-such-chain"}}}
	pod.run(t, caller{}, func() {
		if err := Apply(broken); err == nil {
			t.Error("a jump to nowhere was accepted")
		}
	})
	client.expect(t, caller{}, podAddress4+":8080", "proxy inbound, was for 10.77.0.2:8080")
}

func TestApplyErrorNamesRequirements(t *testing.T) {
	pod, _ := cable(t)
	pod.run(t, caller{uid: 1000, gid: 1000}, func() {
		check(t, "NET_ADMIN", Apply(Rules(standard(t))))
	})
}
