package redirect

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tests below need root: each makes network namespaces of its own, a pod with a listener for everything that the
// redirect could reach and a client at the other end of a cable, and asks who answered.

const (
	podAddress4, podAddress6       = "10.77.0.2", "fd77::2"
	clientAddress4, clientAddress6 = "10.77.0.1", "fd77::1"
)

func TestInboundReachesTheProxy(t *testing.T) {
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

func TestOutboundReachesTheProxy(t *testing.T) {
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

func TestListsDecideWhatIsCaptured(t *testing.T) {
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

func TestApplySaysWhatItNeeds(t *testing.T) {
	pod, _ := cable(t)
	pod.run(t, caller{uid: 1000, gid: 1000}, func() {
		check(t, "NET_ADMIN", Apply(Rules(standard(t))))
	})
}

// namespace is a network namespace that lives as long as its test.
type namespace struct{ file *os.File }

func newNamespace(t *testing.T) namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{err: err}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		made <- result{file, err}
	}()
	r := <-made
	if r.err != nil {
		t.Fatalf("make a network namespace: %v", r.err)
	}
	t.Cleanup(func() { r.file.Close() })
	return namespace{r.file}
}

// caller is who runs something, and the address that it connects from.
type caller struct {
	uid, gid int
	from     string
}

// run calls f in the namespace as the caller, on a thread of its own.
func (n namespace) run(t *testing.T, who caller, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = become(who)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("enter the namespace: %v", err)
	}
}

// become changes the calling thread's user and group. The wrappers of package syscall change those of all threads.
func become(who caller) error {
	if who.uid == 0 && who.gid == 0 {
		return nil
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(who.gid), uintptr(who.gid), uintptr(who.gid)); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(who.uid), uintptr(who.uid), uintptr(who.uid)); e != 0 {
		return e
	}
	return nil
}

// cable returns a pod with its listeners and a client, connected to each other.
func cable(t *testing.T) (pod, client namespace) {
	t.Helper()
	pod, client = newNamespace(t), newNamespace(t)
	client.run(t, caller{}, func() {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod.file.Fd())}
		if err := netlink.LinkAdd(veth); err != nil {
			t.Errorf("lay the cable: %v", err)
		}
		up(t, clientAddress4, clientAddress6)
	})
	pod.run(t, caller{}, func() { up(t, podAddress4, podAddress6) })
	for _, port := range []uint16{8080, 15090, 15021, 15020} {
		pod.answer(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port), "application")
	}
	pod.answer(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 15006), "proxy inbound")
	pod.answer(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 15001), "proxy outbound")
	return pod, client
}

func up(t *testing.T, addresses ...string) {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			t.Errorf("bring %s up: %v", name, err)
			return
		}
		if name == "lo" {
			continue
		}
		for _, a := range addresses {
			ip := net.ParseIP(a)
			bits := 64
			if ip.To4() != nil {
				ip, bits = ip.To4(), 24
			}
			address := &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, len(ip)*8)}, Flags: unix.IFA_F_NODAD}
			if err := netlink.AddrAdd(link, address); err != nil {
				t.Errorf("add %s: %v", a, err)
			}
		}
	}
}

func (n namespace) apply(t *testing.T, c Config) {
	t.Helper()
	n.run(t, caller{}, func() {
		if ok, err := AddInboundSource6(); err != nil || !ok {
			t.Errorf("add ::6: %v %v", ok, err)
		}
		if err := Apply(Rules(c)); err != nil {
			t.Error(err)
		}
	})
}

// answer makes a listener that tells every connection its name and, when the connection was redirected, where to it was.
func (n namespace) answer(t *testing.T, at netip.AddrPort, name string) {
	t.Helper()
	n.run(t, caller{}, func() {
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			t.Errorf("listen: %v", err)
			return
		}
		t.Cleanup(func() { listener.Close() })
		go serve(listener, name)
	})
}

func serve(listener *net.TCPListener, name string) {
	for {
		conn, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		text := name
		if original := originalDestination(conn); original.IsValid() && original.Port() != conn.LocalAddr().(*net.TCPAddr).AddrPort().Port() {
			text += ", was for " + original.String()
		}
		io.WriteString(conn, text)
		conn.Close()
	}
}

// originalDestination asks conntrack, as Envoy's original_dst filter does.
func originalDestination(conn *net.TCPConn) (to netip.AddrPort) {
	const soOriginalDst = 80
	raw, err := conn.SyscallConn()
	if err != nil {
		return to
	}
	is4 := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().Is4()
	raw.Control(func(fd uintptr) {
		if is4 {
			// struct sockaddr_in: family, port, address; the options of this type happen to have its size.
			if b, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, soOriginalDst); err == nil {
				a := b.Multiaddr
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), uint16(a[2])<<8|uint16(a[3]))
			}
			return
		}
		if b, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, soOriginalDst); err == nil {
			port := b.Addr.Port // network byte order
			to = netip.AddrPortFrom(netip.AddrFrom16(b.Addr.Addr), port<<8|port>>8)
		}
	})
	return to
}

// expect connects and compares what the listener says.
func (n namespace) expect(t *testing.T, who caller, to, want string) {
	t.Helper()
	var got string
	n.run(t, who, func() { got = dial(who, to) })
	if got != want {
		t.Errorf("connection to %s as uid %d gid %d: got %q, want %q", to, who.uid, who.gid, got, want)
	}
}

func dial(who caller, to string) string {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	if who.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(who.from)}
	}
	conn, err := dialer.Dial("tcp", to)
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	text, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	return string(text)
}
