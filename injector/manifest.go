package injector

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// Note is something to tell about an object of a manifest.
type Note struct {
	Object string // kind and name
	Text   string
}

// Manifest copies a stream of YAML documents and adds the sidecar to every pod and pod template in it. Workloads of API
// versions that clusters no longer serve are brought up to date on the way. Documents that it does not change keep their
// bytes, comments included.
func (s *Settings) Manifest(in io.Reader, out io.Writer) ([]Note, error) {
	m := manifest{settings: s}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for number := 1; ; number++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return m.notes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read document %d: %w", number, err)
		}
		text, err := m.document(document)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if number > 1 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := out.Write(text); err != nil {
			return nil, err
		}
	}
}

// manifest is one run; notes are collected in the order of the documents.
type manifest struct {
	settings *Settings
	notes    []Note
}

func (m *manifest) note(object map[string]any, format string, args ...any) {
	m.notes = append(m.notes, Note{title(object), fmt.Sprintf(format, args...)})
}

func title(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	kind, _ := object["kind"].(string)
	return strings.TrimSpace(kind + " " + name)
}

func (m *manifest) document(text []byte) ([]byte, error) {
	object := map[string]any{}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	changed, err := m.object(object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title(object), err)
	}
	if !changed {
		return append(bytes.TrimRight(text, "\n"), '\n'), nil
	}
	return yaml.Marshal(object)
}

// object changes an object in place and reports whether it did.
func (m *manifest) object(object map[string]any) (bool, error) {
	if items, ok := object["items"].([]any); ok && strings.HasSuffix(kindOf(object), "List") {
		return m.items(items)
	}
	changed, err := m.modernise(object)
	if err != nil {
		return false, err
	}
	where := podPath(object)
	if where == nil {
		return changed, nil
	}
	injected, err := m.inject(object, where)
	return changed || injected, err
}

func (m *manifest) items(items []any) (bool, error) {
	any := false
	for _, item := range items {
		object, ok := item.(map[string]interface{})
		if !ok {
			continue
		}
		changed, err := m.object(object)
		if err != nil {
			return false, fmt.Errorf("%s: %w", title(object), err)
		}
		any = any || changed
	}
	return any, nil
}

func kindOf(object map[string]any) string {
	kind, _ := object["kind"].(string)
	return kind
}

// templates are the places of a pod template, found by path, so that kinds of others are covered too.
var templates = [][]string{{"spec", "jobTemplate", "spec", "template"}, {"spec", "template"}, {"template"}}

// podPath returns where in the object the pod is; nil: there is none.
func podPath(object map[string]any) []string {
	if kindOf(object) == "Pod" {
		return []string{}
	}
	for _, path := range templates {
		if template := descend(object, path); template != nil {
			if _, ok := descend(template, []string{"spec"})["containers"].([]any); ok {
				return path
			}
		}
	}
	return nil
}

func descend(object map[string]any, path []string) map[string]any {
	for _, key := range path {
		object, _ = object[key].(map[string]any)
	}
	return object
}

func (m *manifest) inject(object map[string]any, path []string) (bool, error) {
	pod := descend(object, path)
	raw, err := json.Marshal(pod)
	if err != nil {
		return false, err
	}
	result, err := m.settings.Inject(Request{Pod: raw, Namespace: namespaceOf(object), Owner: ownerFrom(object), Asked: true})
	if err != nil {
		return false, err
	}
	for _, warning := range result.Warnings {
		m.note(object, "%s", warning)
	}
	if !result.Decision.Inject {
		m.note(object, "not injected: %s", result.Decision.Reason)
		return false, nil
	}
	if len(m.settings.values.ImagePullSecrets) > 0 && len(listOf(pod, "spec", "imagePullSecrets")) == 0 {
		m.note(object, "imagePullSecrets are added for the sidecar; a pod with some gets none from its service account: list those that it needs")
	}
	return true, replace(pod, raw, result.Patch)
}

func listOf(object map[string]any, parent, key string) []any {
	list, _ := descend(object, []string{parent})[key].([]any)
	return list
}

func namespaceOf(object map[string]any) string {
	namespace, _ := descend(object, []string{"metadata"})["namespace"].(string)
	return namespace
}

// ownerFrom names the workload that the manifest declares; a Pod has none but itself.
func ownerFrom(object map[string]any) *workload.Owner {
	name, _ := descend(object, []string{"metadata"})["name"].(string)
	version, _ := object["apiVersion"].(string)
	if kindOf(object) == "Pod" || name == "" {
		return nil
	}
	return &workload.Owner{APIVersion: version, Kind: kindOf(object), Name: name}
}

// replace applies a patch to the pod, which stays the same map.
func replace(pod map[string]any, raw []byte, operations []Operation) error {
	text, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return fmt.Errorf("decode patch: %w", err)
	}
	patched, err := patch.Apply(raw)
	if err != nil {
		return fmt.Errorf("apply patch: %w", err)
	}
	clear(pod)
	return yaml.Unmarshal(patched, &pod) // as YAML, so that whole numbers stay whole
}
