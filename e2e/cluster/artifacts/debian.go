package artifacts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// packages are Debian 12's, with the versions this was tried with. Where the archive has moved on (a security fix), its
// current version is used and printed. The libraries are listed because a minimal system lacks some of them.
var packages = []string{
	"etcd-server=3.4.23-4+b4",
	"containerd=1.6.20~ds1-1+deb12u3",
	"runc=1.1.5+ds1-1+deb12u1",
	"containernetworking-plugins=1.1.1+ds1-3+b5",
	"iptables=1.8.9-2",
	"libip4tc2=1.8.9-2",
	"libip6tc2=1.8.9-2",
	"libxtables12=1.8.9-2",
	"libmnl0=1.0.4-3",
	"libnetfilter-conntrack3=1.0.9-3",
	"libnfnetlink0=1.0.2-2",
	"libnftnl11=1.2.4-2",
	"libseccomp2=2.5.4-1+deb12u1",
}

// versionsFile lists what was really unpacked.
const versionsFile = "versions"

func (s *Store) debian() step {
	return step{
		name: "Debian packages",
		how:  "about 45 MB from Debian's archive, unpacked and not installed: " + strings.Join(names(packages), " "),
		path: filepath.Join(s.Cache, "debian", key(packages...), "root"),
		make: s.unpackPackages,
	}
}

func names(pinned []string) []string {
	var all []string
	for _, p := range pinned {
		name, _, _ := strings.Cut(p, "=")
		all = append(all, name)
	}
	return all
}

func (s *Store) unpackPackages(ctx context.Context, dir string) error {
	if err := s.download(ctx, dir); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	var unpacked []string
	for _, archive := range archives {
		if err := run(ctx, dir, nil, "dpkg-deb", "-x", archive, root); err != nil {
			return err
		}
		unpacked = append(unpacked, strings.TrimSuffix(filepath.Base(archive), ".deb"))
		if err := os.Remove(archive); err != nil {
			return err
		}
	}
	if err := linkIptables(filepath.Join(root, "usr/sbin")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, versionsFile), []byte(strings.Join(unpacked, "\n")+"\n"), 0o644)
}

// download tries what is cheap first: the pinned versions from the known lists, then with fresh lists, then whatever
// version the archive has now.
func (s *Store) download(ctx context.Context, dir string) error {
	// apt does not wait for another one that refreshes its lists, it fails: e2e/images takes turns with this by the same file.
	unlock, err := s.lock(filepath.Join(s.Cache, "apt.lock"))
	if err != nil {
		return fmt.Errorf("lock apt: %w", err)
	}
	defer unlock()
	get := func(wanted []string) error {
		return run(ctx, dir, []string{"LC_ALL=C"}, "apt-get", append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, wanted...)...)
	}
	if get(packages) == nil {
		return nil
	}
	fmt.Fprintln(s.Out, "  refreshing the lists of Debian's archive (apt-get update)")
	// One broken third-party source fails the update; the download below shows whether it mattered.
	updated := run(ctx, dir, []string{"LC_ALL=C"}, "apt-get", "update", "-q")
	if get(packages) == nil {
		return nil
	}
	fmt.Fprintln(s.Out, "  a pinned version is gone from Debian's archive: taking the current ones")
	if err := get(names(packages)); err != nil {
		if updated != nil {
			return fmt.Errorf("%w\nand before that, refresh the lists: %w", err, updated)
		}
		return err
	}
	return nil
}

// linkIptables does what the package's installation script does: the plain names mean the nftables variant.
func linkIptables(dir string) error {
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			link := filepath.Join(dir, family+suffix)
			if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
				return err
			}
			if err := os.Symlink("xtables-nft-multi", link); err != nil {
				return err
			}
		}
	}
	return nil
}

func versions(root string) []string {
	content, err := os.ReadFile(filepath.Join(root, versionsFile))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content))
}
