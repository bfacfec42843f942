package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// grafanaVersion is the last that can be had as a Go module and is under the Apache licence; from 8.0 on it is the AGPL.
	grafanaVersion = "6.1.6"
	grafanaHome    = "/usr/share/grafana"
	// grafanaModule asks for Grafana and has no code, as jaegerModule does for Jaeger.
	grafanaModule = "e2e/images/grafana"
)

var grafana = addon{
	Image: Image{
		Name: "grafana", Title: "Grafana's server: its API and data source proxy, without its page, which needs another build",
		Layers:     [][]Entry{{debian("/etc/ssl/certs/ca-certificates.crt"), {From: Grafana, Path: "/", To: grafanaHome, Tree: true}}, {grafanaPage("index"), grafanaPage("error")}},
		Entrypoint: []string{grafanaHome + "/bin/grafana-server", "--homepath=" + grafanaHome, "--config=/etc/grafana/grafana.ini"}, User: "472:0", // as in the official image
	},
	Version: grafanaVersion, Licence: "Apache-2.0", Source: "Go module github.com/grafana/grafana v" + grafanaVersion + "+incompatible, pkg/cmd/grafana-server",
	Variable: "RELATED_IMAGE_GRAFANA",
}

// grafanaPage is what a browser gets instead of Grafana's page.
func grafanaPage(name string) Entry {
	return Entry{From: Repository, Path: "e2e/images/files/grafana.html", To: grafanaHome + "/public/views/" + name + ".html"}
}

// grafanaFiles are what the server reads from its module beside its own page.
var grafanaFiles = []string{"LICENSE", "NOTICE.md", "conf/defaults.ini", "public/app/plugins/datasource/prometheus/plugin.json", "public/emails/reset_password.html"}

// grafanaPath is another folder for other modules and files.
func (b *builder) grafanaPath() string {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, _ := os.ReadFile(filepath.Join(b.root, grafanaModule, name)) // the compiler reports a file that is missing
		h.Write(text)
	}
	fmt.Fprint(h, grafanaFiles)
	return filepath.Join(b.cache, "grafana-"+grafanaVersion+"-"+hex.EncodeToString(h.Sum(nil))[:8])
}

// fetchGrafana compiles the server with its database, SQLite, which is C. It is linked statically, so that the image needs no library.
func (b *builder) fetchGrafana(ctx context.Context, path string) error {
	module := filepath.Join(b.root, grafanaModule)
	if err := b.installCompiler(ctx, module); err != nil {
		return err
	}
	err := b.run(ctx, module, "env", "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=-mod=readonly", "go", "build", "-trimpath", "-buildvcs=false",
		"-tags", "netgo,osusergo,sqlite_omit_load_extension", "-ldflags", "-s -w -X main.version="+grafanaVersion+" -linkmode external -extldflags -static",
		"-o", filepath.Join(path, "bin/grafana-server"), "github.com/grafana/grafana/pkg/cmd/grafana-server")
	if err != nil {
		return err
	}
	list := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "github.com/grafana/grafana")
	list.Dir = module
	dir, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the module of Grafana: %w", err)
	}
	for _, name := range grafanaFiles {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), name))
		if err != nil {
			return err
		}
		to := filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// installCompiler installs Debian's C compiler where there is none.
func (b *builder) installCompiler(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("gcc"); err == nil {
		return nil
	}
	unlock, err := b.lockApt()
	if err != nil {
		return fmt.Errorf("lock apt: %w", err)
	}
	defer unlock() //nolint:errcheck // nothing was written
	fmt.Fprintln(b.out, "  installing a C compiler (apt-get install gcc libc6-dev)")
	return b.run(ctx, dir, "apt-get", "install", "-q", "-y", "--no-install-recommends", "gcc", "libc6-dev")
}
