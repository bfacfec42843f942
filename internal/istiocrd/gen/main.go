// Command gen writes what follows from the table of kinds in internal/istioconfig: the CustomResourceDefinitions of Istio's API,
// from the protobuf descriptors of istio.io/api, and the rules of charts that list kinds (charts.go).
//
// Generated Go code carries no comments, so descriptions come from a table of ours (descriptions.go), as do the limits that
// protobuf cannot express (rules.go) and the spellings of Istio 0.8 to 1.1 (oldspellings.go): the API server prunes a field that
// the schema does not have before any of our code reads it.
//
//	go run ./internal/istiocrd/gen
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	directory := "internal/istiocrd/crds"
	if _, err := os.Stat("crds"); err == nil { // started by go generate
		directory = "crds"
	}
	if err := write(directory); err != nil {
		fmt.Fprintln(os.Stderr, "gen: error:", err)
		os.Exit(1)
	}
}

func write(directory string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
