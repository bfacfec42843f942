package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	openSearchVersion = "2.19.1"
	openSearchMaven   = "org.opensearch.distribution.integ-test-zip:opensearch:" + openSearchVersion + ":zip"
	openSearchHome    = "/usr/share/opensearch"
	jre               = "/usr/lib/jvm/java-17-openjdk-amd64"
)

// openSearchPackages are the Java runtime and what it links beside libc.
var openSearchPackages = []string{"openjdk-17-jre-headless", "libstdc++6", "libgcc-s1", "zlib1g"}

var openSearch = addon{
	Image: Image{
		Name: "opensearch", Title: "OpenSearch, which speaks Elasticsearch's API, with Debian's Java runtime",
		Layers: [][]Entry{
			slices.Concat(libc, []Entry{
				debian("/lib/x86_64-linux-gnu/libdl.so.2"), debian("/lib/x86_64-linux-gnu/libm.so.6"),
				debian("/lib/x86_64-linux-gnu/libpthread.so.0"), debian("/lib/x86_64-linux-gnu/librt.so.1"),
				javaFile("/usr/lib/x86_64-linux-gnu/libstdc++.so.6"), javaFile("/lib/x86_64-linux-gnu/libgcc_s.so.1"), javaFile("/lib/x86_64-linux-gnu/libz.so.1"),
				javaTree(jre + "/bin"), javaTree(jre + "/conf"),
				javaTree(jre + "/lib"), javaTree("/etc/java-17-openjdk"),
			}),
			{openSearchTree("/bin"), openSearchTree("/config"), openSearchTree("/lib"), openSearchTree("/modules")},
			{program("opensearch"), {Link: "/tmp/plugins", To: openSearchHome + "/plugins"}}, // which the program makes
		},
		Entrypoint: []string{"/usr/local/bin/opensearch"}, User: "1000:1000", // as in the official image
	},
	Version: openSearchVersion, Licence: "Apache-2.0", Source: "Maven artifact " + openSearchMaven + " and packages " + strings.Join(openSearchPackages, ", ") + " of Debian 12",
	Variable: "RELATED_IMAGE_ELASTICSEARCH",
}

func javaFile(path string) Entry { return Entry{From: OpenSearch, Path: path, To: path} }
func javaTree(path string) Entry { return Entry{From: OpenSearch, Path: path, To: path, Tree: true} }

func openSearchTree(path string) Entry {
	return Entry{From: OpenSearch, Path: openSearchHome + path, To: openSearchHome + path, Tree: true}
}

// openSearchPath is another folder for other packages.
func (b *builder) openSearchPath() string {
	sum := sha256.Sum256([]byte(openSearchMaven + strings.Join(openSearchPackages, " ")))
	return filepath.Join(b.cache, "opensearch-"+openSearchVersion+"-"+hex.EncodeToString(sum[:4]))
}

func (b *builder) fetchOpenSearch(ctx context.Context, path string) error {
	if err := b.unpackDebian(ctx, path, openSearchPackages...); err != nil {
		return err
	}
	dir := path + ".maven"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.installMaven(ctx, dir); err != nil {
		return err
	}
	if err := b.run(ctx, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact="+openSearchMaven, "-DoutputDirectory="+dir); err != nil {
		return err
	}
	return unzipTree(filepath.Join(dir, "opensearch-"+openSearchVersion+".zip"), "opensearch-"+openSearchVersion, filepath.Join(path, openSearchHome))
}

// installMaven installs Debian's Maven where there is none. It cannot be unpacked beside the system like other packages: it is made of
// sixty that link to each other by absolute paths.
func (b *builder) installMaven(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("mvn"); err == nil {
		return nil
	}
	unlock, err := b.lockApt()
	if err != nil {
		return fmt.Errorf("lock apt: %w", err)
	}
	defer unlock() //nolint:errcheck // nothing was written
	fmt.Fprintln(b.out, "  installing Maven (apt-get install maven)")
	return b.run(ctx, dir, "apt-get", "install", "-q", "-y", "--no-install-recommends", "maven")
}

// unzipTree copies the folder of an archive to path.
func unzipTree(archive, folder, path string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	tree, err := fs.Sub(r, folder)
	if err != nil {
		return err
	}
	return os.CopyFS(path, tree)
}
