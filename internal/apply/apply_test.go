package apply

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func liveObject(uid, version string, managers ...metav1.ManagedFieldsEntry) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version, ManagedFields: managers}}
}

func ownedFields(manager string, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(fields)}
}

// TestRecordMatches is the truth table of drift: what others add is none, what they take from us is.
func TestRecordMatches(t *testing.T) {
	r := record{uid: "u", version: "10", fields: []byte(`{"f:a":{},"f:b":{}}`)}
	cases := map[string]struct {
		reason string
		live   metav1.Object
		want   bool
	}{
		"Same":         {"nothing happened", liveObject("u", "10"), true},
		"Lagging":      {"the cache is older than our write", liveObject("u", "9"), true},
		"OthersAdd":    {"their fields are theirs", liveObject("u", "11", ownedFields(FieldManager, `{"f:b":{},"f:a":{}}`), ownedFields("kubectl", `{"f:c":{}}`)), true},
		"OthersChange": {"a changed value is no longer ours", liveObject("u", "11", ownedFields(FieldManager, `{"f:a":{}}`), ownedFields("kubectl", `{"f:b":{}}`)), false},
		"Stripped":     {"somebody emptied managedFields", liveObject("u", "11"), false},
		"Recreated":    {"another object of the same name", liveObject("v", "11", ownedFields(FieldManager, `{"f:a":{},"f:b":{}}`)), false},
		"Deleted":      {"there is none", nil, false},
	}
	for name, c := range cases {
		if got := r.matches(c.live); got != c.want {
			t.Errorf("%s (%s): holds is %t, want %t", name, c.reason, got, c.want)
		}
	}
}

func TestDescribeChange(t *testing.T) {
	after := &unstructured.Unstructured{Object: map[string]any{}}
	after.SetUID("u")
	after.SetResourceVersion("11")
	after.SetGeneration(1)
	cases := map[string]struct {
		before metav1.Object
		same   bool
		want   Action
	}{
		"Created":            {nil, false, Created},
		"Deleted":            {nil, true, Restored},
		"ReplacedByAnother":  {liveObject("v", "9"), true, Restored},
		"Edited":             {liveObject("u", "10"), true, Restored},
		"WantedDiffers":      {liveObject("u", "10"), false, Configured},
		"NothingWasWritten":  {liveObject("u", "11"), false, Unchanged},
		"NothingWasRestored": {liveObject("u", "11"), true, Unchanged},
	}
	for name, c := range cases {
		if got, _ := describe(c.before, after, c.same); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestApplyRefusesReplacedObject: another object with the name of an applied one is not taken over, unless it is known to be ours; and
// then nothing counts as restored.
func TestApplyRefusesReplacedObject(t *testing.T) {
	named := func(uid types.UID) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "mesh", Name: "a", UID: uid}}
	}
	for name, ours := range map[string]bool{"Theirs": false, "Ours": true} {
		t.Run(name, func(t *testing.T) {
			api := fake.NewClientBuilder().WithObjects(named("u")).Build()
			a := New(api, func(Ref) metav1.Object { return nil })
			if _, err := a.Apply(t.Context(), object("a")); err != nil {
				t.Fatal(err)
			}
			if err := api.Delete(t.Context(), named("")); err != nil {
				t.Fatal(err)
			}
			if err := api.Create(t.Context(), named("v")); err != nil {
				t.Fatal(err)
			}
			if ours {
				a.Drop(RefOf(object("a")))
			}
			change, err := a.Apply(t.Context(), object("a"))
			if (err == nil) != ours || change.Action == Restored {
				t.Errorf("%q, %v", change.Action, err)
			}
		})
	}
}

// TestApplyWithStaleCache reads a cache without the last apply: the object is not applied again and does not count as changed.
func TestApplyWithStaleCache(t *testing.T) {
	a := New(fake.NewClientBuilder().Build(), func(Ref) metav1.Object { return nil })
	for i, want := range []Change{{Action: Created}, {Stale: true}} {
		got, err := a.Apply(t.Context(), object("a"))
		if err != nil || got.Action != want.Action || got.Stale != want.Stale {
			t.Errorf("apply %d: %q, lags is %t, %v", i, got.Action, got.Stale, err)
		}
	}
}

// FuzzOlder holds that of two versions at most one is older, and none is older than itself.
func FuzzOlder(f *testing.F) {
	f.Add("9", "10")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		if older(a, b) && older(b, a) || older(a, a) {
			t.Errorf("older(%q, %q) is no order", a, b)
		}
	})
}
