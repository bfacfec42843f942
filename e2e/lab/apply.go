package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// ApplyFile applies every object of a file (path from the repository's top folder) into namespace.
func (l *Lab) ApplyFile(ctx context.Context, namespace, path string) error {
	text, err := os.ReadFile(filepath.Join(l.Root, path))
	if err != nil {
		return err
	}
	return l.Apply(ctx, namespace, string(text))
}

// Apply applies every object of a YAML stream by server-side apply; objects without a namespace go to namespace.
func (l *Lab) Apply(ctx context.Context, namespace, text string) error {
	objects, err := Objects(text)
	if err != nil {
		return err
	}
	return l.ApplyObjects(ctx, namespace, objects)
}

// ApplyObjects is Apply of objects that are parsed already.
func (l *Lab) ApplyObjects(ctx context.Context, namespace string, objects []*unstructured.Unstructured) error {
	return l.each(namespace, objects, func(c dynamic.ResourceInterface, u *unstructured.Unstructured) error {
		_, err := c.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: "lab", Force: true})
		return err
	})
}

// Delete deletes every object of a YAML stream; one that does not exist is no error.
func (l *Lab) Delete(ctx context.Context, namespace, text string) error {
	objects, err := Objects(text)
	if err != nil {
		return err
	}
	return l.DeleteObjects(ctx, namespace, objects)
}

// DeleteObjects is Delete of objects that are parsed already.
func (l *Lab) DeleteObjects(ctx context.Context, namespace string, objects []*unstructured.Unstructured) error {
	return l.each(namespace, objects, func(c dynamic.ResourceInterface, u *unstructured.Unstructured) error {
		err := c.Delete(ctx, u.GetName(), metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (l *Lab) each(namespace string, objects []*unstructured.Unstructured, do func(dynamic.ResourceInterface, *unstructured.Unstructured) error) error {
	for _, u := range objects {
		client, err := l.resource(namespace, u)
		if err != nil {
			return err
		}
		if err := do(client, u); err != nil {
			return fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// Objects parses a YAML stream.
func Objects(text string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		u := &unstructured.Unstructured{}
		switch err := decoder.Decode(&u.Object); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("parse yaml: %w", err)
		case len(u.Object) > 0:
			out = append(out, u)
		}
	}
}

func (l *Lab) resource(namespace string, u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	mapping, err := l.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		l.Mapper.Reset()
		mapping, err = l.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return l.Dynamic.Resource(mapping.Resource), nil
	}
	if ns := u.GetNamespace(); ns != "" {
		namespace = ns
	}
	return l.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}
