package apply

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

var key = types.NamespacedName{Namespace: "op", Name: "inventory"}

func object(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	o.SetNamespace("mesh")
	o.SetName(name)
	return o
}

// TestInventoryIsReadBack plays an operator that is killed between its announcement and its first write.
func TestInventoryIsReadBack(t *testing.T) {
	ctx, c := context.Background(), fake.NewClientBuilder().Build()
	first := NewInventory(c, key, nil)
	if err := first.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Announce(ctx, []*unstructured.Unstructured{object("a"), object("b")}); err != nil {
		t.Fatal(err)
	}
	first.Record(RefOf(object("a")), "uid-a") // and killed before Save

	second := NewInventory(c, key, nil)
	if err := second.Load(ctx); err != nil {
		t.Fatal(err)
	}
	second.Record(RefOf(object("b")), "uid-b")
	if err := second.Save(ctx); err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Version: "v1", Kind: "ConfigMap", Namespace: "mesh", Name: "a"},
		{Version: "v1", Kind: "ConfigMap", Namespace: "mesh", Name: "b", UID: "uid-b"},
	}
	third := NewInventory(c, key, nil)
	if err := third.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, third.Entries()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want[1:], third.Obsolete(map[Ref]bool{RefOf(object("a")): true})); diff != "" {
		t.Errorf("obsolete (-want +got):\n%s", diff)
	}
}

// TestPruneChecksUIDAndOwner and nothing else of that name.
func TestPruneChecksUIDAndOwner(t *testing.T) {
	owned := func(labels map[string]string) bool { return labels["ours"] == "yes" }
	cases := map[string]struct {
		uid    types.UID
		labels map[string]string
		entry  types.UID
		want   bool
	}{
		"TheOne":         {uid: "u", labels: map[string]string{"ours": "yes"}, entry: "u", want: true},
		"AnotherUID":     {uid: "v", labels: map[string]string{"ours": "yes"}, entry: "u"},
		"Disowned":       {uid: "u", entry: "u"},
		"OnlyAnnounced":  {uid: "u", labels: map[string]string{"ours": "yes"}, want: true},
		"AnnouncedTaken": {uid: "u"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			live := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "mesh", Name: "a", UID: c.uid, Labels: c.labels}}
			api := fake.NewClientBuilder().WithObjects(live).Build()
			deleted, err := Prune(context.Background(), api, Entry{Version: "v1", Kind: "ConfigMap", Namespace: "mesh", Name: "a", UID: c.entry}, owned)
			if err != nil || deleted != c.want {
				t.Errorf("Prune() = %t, %v; want %t", deleted, err, c.want)
			}
			err = api.Get(context.Background(), client.ObjectKeyFromObject(live), &corev1.ConfigMap{})
			if gone := apierrors.IsNotFound(err); gone != c.want {
				t.Errorf("gone is %t (%v), want %t", gone, err, c.want)
			}
		})
	}
}
