package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// debianPackages are what the images take from Debian 12, with the versions this was tried with. Where the archive has moved
// on (a security fix, or a newer list of authorities), its current version is taken and printed.
var debianPackages = []string{"libc6=2.36-9+deb12u14", "ca-certificates=20250419~deb12u2"}

// debianPath is another folder for other packages.
func (b *builder) debianPath() string {
	sum := sha256.Sum256([]byte(strings.Join(debianPackages, " ")))
	return filepath.Join(b.cache, "images-debian-"+hex.EncodeToString(sum[:4]))
}

func (b *builder) fetchDebian(ctx context.Context, path string) error {
	if err := b.unpackDebian(ctx, path, debianPackages...); err != nil {
		return err
	}
	return joinAuthorities(path)
}

// joinAuthorities makes the one file that programs read, as the package's installation script does.
func joinAuthorities(root string) error {
	certificates, err := filepath.Glob(filepath.Join(root, "usr/share/ca-certificates/mozilla/*.crt"))
	if err == nil && len(certificates) == 0 {
		err = errors.New("the package has none")
	}
	if err != nil {
		return fmt.Errorf("find the certificates of authorities: %w", err)
	}
	slices.Sort(certificates)
	var all []byte
	for _, file := range certificates {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(append(all, strings.TrimSpace(string(text))...), '\n')
	}
	path := filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, all, 0o644)
}

// unpackDebian downloads packages, given as name or name=version, and unpacks them into the folder path. It installs
// nothing.
func (b *builder) unpackDebian(ctx context.Context, path string, packages ...string) error {
	dir := path + ".debs"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := b.downloadDebian(ctx, dir, packages); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, a := range archives {
		if err := b.run(ctx, dir, "dpkg-deb", "-x", a, path); err != nil {
			return err
		}
	}
	return nil
}

// downloadDebian tries what is cheap first: the pinned versions from the known lists, then with fresh lists, then whatever
// version the archive has now.
func (b *builder) downloadDebian(ctx context.Context, dir string, packages []string) error {
	unlock, err := b.lockApt()
	if err != nil {
		return fmt.Errorf("lock apt: %w", err)
	}
	defer unlock() //nolint:errcheck // nothing was written
	get := func(wanted []string) error {
		return b.run(ctx, dir, "apt-get", append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, wanted...)...)
	}
	if get(packages) == nil {
		return nil
	}
	fmt.Fprintln(b.out, "  refreshing the lists of Debian's archive (apt-get update)")
	// One broken source of somebody else fails the update; the download shows whether it mattered.
	updateErr := b.run(ctx, dir, "apt-get", "update", "-q")
	err = get(packages)
	if names := withoutVersions(packages); err != nil && !slices.Equal(names, packages) {
		fmt.Fprintln(b.out, "  a pinned version is gone from Debian's archive: taking the current ones")
		err = get(names)
	}
	if err != nil {
		return errors.Join(err, updateErr)
	}
	return nil
}

// lockApt waits until nobody else lets apt work for this cache. apt does not wait for another one that refreshes its lists, it
// fails: the local cluster's command takes turns with this by the same file.
func (b *builder) lockApt() (unlock func() error, err error) {
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(b.cache, "apt.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}

func withoutVersions(packages []string) []string {
	var names []string
	for _, p := range packages {
		name, _, _ := strings.Cut(p, "=")
		names = append(names, name)
	}
	return names
}
