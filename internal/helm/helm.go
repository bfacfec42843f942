// Package helm renders the charts of package charts, and nothing else: no releases, no hooks, no cluster. It is the only
// importer of Helm, so that another version of Helm, or none, is a change of this file.
package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// library is the chart whose templates every other chart may use.
const library = "library"

// Render returns the objects of the named chart of charts for values, in a stable order. The chart may use the templates of the
// chart library of shared.
func Render(shared, charts fs.FS, name string, values map[string]any) ([]*unstructured.Unstructured, error) {
	objects, err := render(shared, charts, name, values)
	if err != nil {
		return nil, fmt.Errorf("render chart %s: %w", name, err)
	}
	return objects, nil
}

func render(shared, charts fs.FS, name string, values map[string]any) ([]*unstructured.Unstructured, error) {
	c, err := load(shared, charts, name)
	if err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{Name: name, Namespace: "default", IsInstall: true}
	renderValues, err := chartutil.ToRenderValues(c, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := (engine.Engine{Strict: true}).Render(c, renderValues)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(file) != ".yaml" {
			continue
		}
		parsed, err := parse(files[file])
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
		objects = append(objects, parsed...)
	}
	return objects, nil
}

func load(shared, charts fs.FS, name string) (*chart.Chart, error) {
	c, err := loadOne(charts, name)
	if err != nil {
		return nil, err
	}
	templates, err := loadOne(shared, library)
	if err != nil {
		return nil, err
	}
	c.AddDependency(templates)
	return c, nil
}

func loadOne(fsys fs.FS, name string) (*chart.Chart, error) {
	var files []*loader.BufferedFile
	err := fs.WalkDir(fsys, name, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, p)
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(p, name+"/"), Data: data})
		return err
	})
	if err != nil {
		return nil, err
	}
	return loader.LoadFiles(files)
}

// parse splits a stream of YAML documents. Empty ones, which a false condition of a template leaves, are skipped.
func parse(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
