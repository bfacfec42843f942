package source

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// TestSecretRecreatedWithAnotherType has a Secret that is deleted and created again with another type, which another
// watch tells of. In a case each word is an event of one object, its UID and version, and what is stored in the end.
func TestSecretRecreatedWithAnotherType(t *testing.T) {
	for events, want := range map[string]string{
		"set/old@8 remove/old@9 set/new@10":               "new@10",
		"set/old@8 set/new@10 remove/old@9":               "new@10", // the first watch lags
		"set/old@8 set/new@10 set/old@9":                  "new@10", // and tells of the last change before the deletion
		"set/old@8 set/new@10 set/old@9 remove/old@9":     "new@10",
		"set/old@8 set/new@10 set/new@11 remove/new@11":   "",
		"set/old@99 set/new@100 set/old@99":               "new@100", // versions are numbers
		"set/old@8 set/old@9":                             "old@9",
		"set/old@8 set/new@10 set/new@9":                  "new@9", // of one object, the last event holds
		"set/old@nonsense set/new@10 remove/old@nonsense": "new@10",
	} {
		k := newStore(func(in *mesh.Inputs) *table.Table[*corev1.Secret] { return &in.Secrets })
		var in mesh.Inputs
		for event := range strings.FieldsSeq(events) {
			verb, object, _ := strings.Cut(event, "/")
			uid, version, _ := strings.Cut(object, "@")
			do := map[string]func(any){"set": k.set, "remove": k.remove}[verb]
			do(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", UID: types.UID(uid), ResourceVersion: version}})
			k.fill(&in)
		}
		got := ""
		if s := in.Secrets.Get("a/x"); s != nil {
			got = fmt.Sprintf("%s@%s", s.UID, s.ResourceVersion)
		}
		if got != want {
			t.Errorf("after %s, %q is tableStore, want %q", events, got, want)
		}
	}
}
