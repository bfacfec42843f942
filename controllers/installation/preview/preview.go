// Package preview says what an edit of the Installation will do to the objects of the mesh: it compares objects and puts the result into
// words. It reads nothing but its input and writes nothing.
package preview

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// Action is what the operator will do with an object.
type Action string

// What the operator can do with an object.
const (
	Create   Action = "create"
	Change   Action = "change"
	Remove   Action = "remove"
	Keep     Action = "keep"     // no longer wanted, and not deleted
	Conflict Action = "conflict" // of somebody else, and in the way: the operator will do nothing at all
	Refused  Action = "refused"  // the API server will refuse it
	Unknown  Action = "unknown"  // the API server cannot say: a webhook of its own does not answer
)

// Object is what happens to one object. Objects that stay as they are have none.
type Object struct {
	Action    Action  `json:"action"`
	Kind      string  `json:"kind"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name"`
	Fields    []Field `json:"fields,omitempty"`
	// Restarts says that the object's pods are replaced by new ones; Pods is their number.
	Restarts bool   `json:"restarts,omitempty"`
	Pods     int64  `json:"pods,omitempty"`
	Reason   string `json:"reason,omitempty"` // of Keep, Conflict, Refused and Unknown
}

// Field is a difference: the values before and after as text, empty where there is none.
type Field struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Result is what an edit does.
type Result struct {
	Objects   []Object `json:"objects"`
	Unchanged int      `json:"unchanged"`
}

// Of is an Object of this name.
func Of(action Action, ref apply.Ref, reason string) Object {
	return Object{Action: action, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Reason: reason}
}

// Changed compares an object with what an apply makes of it; ok is false when nothing differs.
func Changed(before, after *unstructured.Unstructured) (o Object, ok bool) {
	o = Of(Change, apply.RefOf(after), "")
	hidden := o.Kind == "Secret"
	o.Fields = differences(nil, "", before.Object, after.Object, hidden)
	row, _ := kinds.Of(after.GroupVersionKind().Group, o.Kind)
	template := func(f Field) bool { return strings.HasPrefix(f.Path, "spec.template.") }
	if row.Workload && o.Kind != "Job" && slices.ContainsFunc(o.Fields, template) {
		o.Restarts = true
		for _, name := range []string{"replicas", "currentNumberScheduled"} { // of a DaemonSet the latter
			pods, _, _ := unstructured.NestedInt64(before.Object, "status", name)
			o.Pods += pods
		}
	}
	return o, len(o.Fields) > 0
}

// Text is the result for people.
func (r Result) Text() string {
	var b strings.Builder
	counts := map[Action]int{}
	restarts := 0
	for _, o := range r.Objects {
		counts[o.Action]++
		if o.Restarts {
			restarts++
		}
		o.write(&b)
	}
	fmt.Fprintf(&b, "%d to create, %d to change (%d of them restarted), %d to remove, %d unchanged", counts[Create], counts[Change], restarts, counts[Remove], r.Unchanged)
	for _, action := range []Action{Keep, Conflict, Refused, Unknown} {
		if counts[action] > 0 {
			fmt.Fprintf(&b, ", %d %s", counts[action], map[Action]string{Keep: "kept", Conflict: "in conflict", Refused: "refused", Unknown: "unknown"}[action])
		}
	}
	return b.String() + "\n"
}

var signs = map[Action]string{Create: "+ create", Change: "~ change", Remove: "- remove", Keep: "= keep", Conflict: "! conflict", Refused: "! refused", Unknown: "? unknown"}

func (o Object) write(b *strings.Builder) {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	fmt.Fprintf(b, "%s %s %s", signs[o.Action], o.Kind, name)
	switch {
	case o.Restarts && o.Pods == 1:
		b.WriteString(", restarts 1 pod")
	case o.Restarts:
		fmt.Fprintf(b, ", restarts %d pods", o.Pods)
	case o.Reason != "":
		b.WriteString(": " + printable(o.Reason))
	}
	b.WriteByte('\n')
	for _, f := range o.Fields {
		f.write(b)
	}
}

func (f Field) write(b *strings.Builder) {
	if strings.Contains(f.From, "\n") || strings.Contains(f.To, "\n") {
		fmt.Fprintf(b, "    %s:\n", f.Path)
		writeLines(b, f.From, f.To)
		return
	}
	from, to := printable(f.From), printable(f.To)
	switch {
	case f.From == "":
		fmt.Fprintf(b, "    %s: + %s\n", f.Path, to)
	case f.To == "":
		fmt.Fprintf(b, "    %s: - %s\n", f.Path, from)
	default:
		fmt.Fprintf(b, "    %s: %s -> %s\n", f.Path, from, to)
	}
}

// writeLines writes the lines between the first and the last that differ.
func writeLines(b *strings.Builder, from, to string) {
	before, after := strings.Split(strings.TrimSuffix(from, "\n"), "\n"), strings.Split(strings.TrimSuffix(to, "\n"), "\n")
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	writeSigned(b, "-", before)
	writeSigned(b, "+", after)
}

func writeSigned(b *strings.Builder, sign string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(b, "      %s %s\n", sign, printable(line))
	}
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
