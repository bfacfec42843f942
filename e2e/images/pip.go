package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pip returns the command line of Python's package client: the machine's own, or Debian's, unpacked into the cache.
func (b *builder) pip(ctx context.Context) ([]string, error) {
	candidates := [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}}
	for _, c := range candidates {
		if exec.CommandContext(ctx, c[0], append(c[1:], "--version")...).Run() == nil {
			return c, nil
		}
	}
	root := filepath.Join(b.cache, "debian-pip")
	if _, err := os.Stat(root); err != nil {
		fmt.Fprintln(b.out, "  fetching Debian's pip (8 MB, unpacked and not installed): this machine has none")
		err := atomically(root, func(temporary string) error { return b.unpackDebian(ctx, temporary, pipPackages...) })
		if err != nil {
			return nil, fmt.Errorf("fetch pip: %w", err)
		}
	}
	return unpackedPip(root), nil
}

// pipPackages is Python, pip, and those libraries that a minimal Debian may lack.
var pipPackages = []string{
	"python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3-pip", "python3-setuptools",
	"python3-pkg-resources", "python3-distutils", "python3-wheel", "libexpat1", "libssl3", "zlib1g", "libffi8", "libbz2-1.0", "liblzma5",
}

func unpackedPip(root string) []string {
	usr := filepath.Join(root, "usr")
	return []string{
		"env",
		"PYTHONHOME=" + usr,
		"PYTHONPATH=" + filepath.Join(usr, "lib/python3/dist-packages"),
		"LD_LIBRARY_PATH=" + filepath.Join(usr, "lib/x86_64-linux-gnu") + ":" + filepath.Join(root, "lib/x86_64-linux-gnu"),
		filepath.Join(usr, "bin/python3.11"), "-m", "pip",
	}
}
