package netns

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Network holds the addresses inside a cluster's namespace. All clusters use the same ones: they have no connection.
type Network struct {
	Node          string // address of the node
	NodeSubnet    string
	Pods          string
	Services      string
	LoadBalancers string
	DNS           string // address of the kube-dns Service
	API           string // address of the kubernetes Service
}

// Default has the addresses that every cluster uses.
var Default = Network{
	Node:          "10.200.0.1",
	NodeSubnet:    "10.200.0.0/24",
	Pods:          "10.244.0.0/24",
	Services:      "10.96.0.0/16",
	LoadBalancers: "10.200.1.0/24",
	DNS:           "10.96.0.10",
	API:           "10.96.0.1",
}

// bridge is the device that carries the node's address: many kernels lack the dummy device, all have bridges.
const bridge = "node0"

// Configure sets up the namespace at path.
func Configure(path string, n Network) error {
	if err := Do(path, func() error { return configure(n) }); err != nil {
		return fmt.Errorf("configure network namespace: %w", err)
	}
	return nil
}

func configure(n Network) error {
	if err := linkUp("lo"); err != nil {
		return err
	}
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}); err != nil {
		return fmt.Errorf("add bridge: %w", err)
	}
	link, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	_, subnet, err := net.ParseCIDR(n.NodeSubnet)
	if err != nil {
		return err
	}
	subnet.IP = net.ParseIP(n.Node)
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: subnet}); err != nil {
		return fmt.Errorf("add node address: %w", err)
	}
	if err := linkUp(bridge); err != nil {
		return err
	}
	if err := routes(link.Attrs().Index, n); err != nil {
		return err
	}
	// This thread sees the sysctls of its own network namespace; the host's stay as they are.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enable forwarding: %w", err)
	}
	return nil
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find device %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up device %s: %w", name, err)
	}
	return nil
}

// routes leads virtual addresses to the bridge, where kube-proxy's rules catch them, and refuses all others: a
// connection of a pod to the outside fails within a millisecond.
func routes(index int, n Network) error {
	for _, cidr := range []string{n.Services, n.LoadBalancers} {
		_, destination, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: destination, Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("add route %s: %w", cidr, err)
		}
	}
	everything := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if err := netlink.RouteAdd(&netlink.Route{Dst: everything, Type: unix.RTN_UNREACHABLE}); err != nil {
		return fmt.Errorf("add unreachable default route: %w", err)
	}
	return nil
}
