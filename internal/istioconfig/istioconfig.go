// Package istioconfig is the border between what users write and what the control plane understands. Objects arrive raw;
// Decode gives every field its current spelling and its type, Validate says what is wrong with the result, and neither
// looks at any other object.
//
//	unstructured ── rewrite old spellings ── check names ── protojson ── Object ── Validate ── []Problem
//
// Two rules shape it. Nothing is dropped in silence: a field that no version of the API knows is an error of Decode, and a
// field that the translator does not express yet is a Problem (see supported.go), because a rule that was accepted and
// does nothing is worse than one that was refused. And the same functions serve admission (galley) and translation
// (pilot), so what the one lets in the other can use.
package istioconfig

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"
)

// Object is one decoded object. Its Spec has only current spellings; Rewrites tells what the user had written instead.
type Object struct {
	Kind       Kind
	Namespace  string
	Name       string
	UID        types.UID
	Created    time.Time
	Generation int64
	Labels     map[string]string
	Spec       proto.Message

	// Rewrites are the old spellings that Decode replaced, in the order of the object.
	Rewrites []Rewrite
	// PortNames holds what a port selector of Istio 0.8 said by name, by the path of the selector. The typed selector has
	// no place for it.
	PortNames map[string]string
}

// SameAs tells whether two versions of a name are those of one object, and not of two of which the second took the first
// one's place.
func (o Object) SameAs(other Object) bool {
	return o.UID == other.UID && o.Created.Equal(other.Created)
}

// String is the object's kind, namespace and name, for logs and messages.
func (o Object) String() string { return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name) }

// Rewrite is one old spelling: the field as the user wrote it, what it was and what it became.
type Rewrite struct {
	Field string
	Was   string
	Now   string
}

// String is the sentence for a warning.
func (r Rewrite) String() string {
	return fmt.Sprintf("%s: %s is an old spelling, read as %s", r.Field, r.Was, r.Now)
}

// Problem is one reason to refuse an object: where, what, and the way out.
type Problem struct {
	Field  string
	Reason string
	Fix    string
}

// String is the problem on one line.
func (p Problem) String() string {
	if p.Fix == "" {
		return p.Field + ": " + p.Reason
	}
	return p.Field + ": " + p.Reason + " (" + p.Fix + ")"
}
