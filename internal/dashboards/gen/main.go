// Command gen writes the dashboards to charts/grafana-dashboards/files. Run it in the repository's top folder (make generate).
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mesh-operator/mesh-operator/internal/dashboards"
)

func main() {
	if err := write("charts/grafana-dashboards/files"); err != nil {
		fmt.Fprintln(os.Stderr, "gen: error:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range dashboards.All() {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, d.FileName()), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
