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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if who.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(who.from)}
	}
	conn, err := dialer.Dial("tcp", to)
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	text, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	return string(text)
}
