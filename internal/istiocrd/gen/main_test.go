package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

func TestCommittedFilesAreFresh(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := filepath.Glob("../crds/*.yaml")
	if err != nil || len(committed) != len(istioconfig.Kinds()) {
		t.Errorf("%d definitions are committed, %d are generated", len(committed), len(istioconfig.Kinds()))
	}
	for name, text := range want {
		got, err := os.ReadFile("../crds/" + name)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(text), string(got)); diff != "" {
			t.Errorf("%s is stale; run: go generate ./internal/istiocrd\n(-generated +committed):\n%s", name, diff)
		}
	}
}

// TestTablesNameWhatExists: an entry for a message or field that istio.io/api has not is a typing error or a relic.
func TestTablesNameWhatExists(t *testing.T) {
	known := map[protoreflect.FullName]bool{}
	for _, kind := range istioconfig.Kinds() {
		collect(kind.NewSpec().ProtoReflect().Descriptor(), known)
	}
	for name := range descriptions {
		if !known[name] {
			t.Errorf("descriptions: %s does not exist", name)
		}
	}
	for name := range rules {
		if !known[name] {
			t.Errorf("rules: %s does not exist", name)
		}
	}
	for name := range oldSpellings {
		if !known[name] {
			t.Errorf("oldSpellings: %s does not exist", name)
		}
	}
}

func collect(message protoreflect.MessageDescriptor, known map[protoreflect.FullName]bool) {
	known[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		known[field.FullName()] = true
		if field.IsMap() {
			field = field.MapValue()
		}
		if field.Message() != nil && !known[field.Message().FullName()] {
			collect(field.Message(), known)
		}
	}
}

// TestSupportedFieldsAreDescribed: whatever a user may set, kubectl explain says what it does.
func TestSupportedFieldsAreDescribed(t *testing.T) {
	for _, kind := range istioconfig.EnforcedKinds() {
		undescribed(t, kind.NewSpec().ProtoReflect().Descriptor())
	}
}

func undescribed(t *testing.T, message protoreflect.MessageDescriptor) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if !istioconfig.Supports(field) {
			continue
		}
		if descriptions[field.FullName()] == "" {
			t.Errorf("no description of %s", field.FullName())
		}
		if m := field.Message(); m != nil && !field.IsMap() {
			if _, leaf := wellKnownSchema(m.FullName()); !leaf {
				undescribed(t, m)
			}
		}
	}
}
