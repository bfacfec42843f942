package ca

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

func getBundle(t *testing.T, a *api, namespace string) *corev1.ConfigMap {
	t.Helper()
	cm, err := a.CoreV1().ConfigMaps(namespace).Get(t.Context(), bundleName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func published(t *testing.T, a *api, namespace string) trust.Bundle {
	t.Helper()
	bundle, err := trust.Parse([]byte(getBundle(t, a, namespace).Data[bundleKey]))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestBundlePublishedToEveryNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("default"), namespace("kube-system"))
		r := start(t, options(a))
		defer r.stop()
		if _, err := a.CoreV1().Namespaces().Create(t.Context(), namespace("later"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, name := range []string{"istio-system", "default", "later"} {
			cm := getBundle(t, a, name)
			if !published(t, a, name).Equal(current(t, r).bundle) {
				t.Errorf("%s: another bundle", name)
			}
			if !owner.Owned(cm.Labels) || cm.Labels[bundleLabel] != "true" || !ownedBy(cm, "uid-istio-system") {
				t.Errorf("%s: labels %v, owners %v", name, cm.Labels, cm.OwnerReferences)
			}
		}
		_, err := a.CoreV1().ConfigMaps("kube-system").Get(t.Context(), bundleName, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("kube-system: %v, want not found", err)
		}
	})
}

func TestEditedBundleIsRestored(t *testing.T) {
	update := func(t *testing.T, a *api, edit func(*corev1.ConfigMap)) {
		cm := getBundle(t, a, "default")
		edit(cm)
		cm.ResourceVersion += "1"
		if _, err := a.CoreV1().ConfigMaps("default").Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		drift      func(*testing.T, *api)
		writeVerbs int // of the publisher after the drift
	}{
		"Deleted": {func(t *testing.T, a *api) {
			if err := a.CoreV1().ConfigMaps("default").Delete(t.Context(), bundleName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, 1},
		"OtherRoot": {func(t *testing.T, a *api) {
			update(t, a, func(cm *corev1.ConfigMap) { cm.Data[bundleKey] = string(newAuthority(t).bundle.PEM()) })
		}, 1},
		"Emptied": {func(t *testing.T, a *api) {
			update(t, a, func(cm *corev1.ConfigMap) { cm.Data = nil })
		}, 1},
		"LabelsRemoved": {func(t *testing.T, a *api) {
			update(t, a, func(cm *corev1.ConfigMap) { cm.Labels = nil })
		}, 1},
		"CommentAdded": {func(t *testing.T, a *api) {
			update(t, a, func(cm *corev1.ConfigMap) { cm.Data[bundleKey] = "# the root\n" + cm.Data[bundleKey] })
		}, 0},
		"KeyAdded": {func(t *testing.T, a *api) {
			update(t, a, func(cm *corev1.ConfigMap) { cm.Data["note"] = "by the user" })
		}, 0},
		"Nothing": {func(*testing.T, *api) {}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(namespace("istio-system"), namespace("default"))
				r := start(t, options(a))
				defer r.stop()
				before := applies(a)
				c.drift(t, a)
				time.Sleep(time.Hour)
				if got := applies(a) - before; got != c.writeVerbs {
					t.Errorf("%d writeVerbs, want %d", got, c.writeVerbs)
				}
				if cm := getBundle(t, a, "default"); !isUpToDate(cm, "uid-istio-system", current(t, r).bundle) {
					t.Errorf("not in order: %v %v", cm.Labels, cm.Data)
				}
			})
		})
	}
}

func applies(a *api) (n int) {
	for _, verb := range writeVerbs(a, "configmaps") {
		if verb == "patch" {
			n++
		}
	}
	return n
}

func TestForeignConfigMapIsNotOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: bundleName},
			Data:       map[string]string{bundleKey: "theirs"},
		}
		a := newAPI(namespace("istio-system"), namespace("default"), theirs)
		r := start(t, options(a))
		defer r.stop()
		if got := getBundle(t, a, "default").Data[bundleKey]; got != "theirs" {
			t.Errorf("overwritten with %q", got)
		}
		if err := a.CoreV1().ConfigMaps("default").Delete(t.Context(), bundleName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		published(t, a, "default")
	})
}

// A mesh namespace on its way out takes its bundles along; writing them again would only annoy the garbage collector.
func TestNoBundlePublishedWhileMeshNamespaceTerminates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := namespace("istio-system")
		mesh.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		mesh.Finalizers = []string{"kubernetes"}
		a := newAPI(mesh, namespace("default"))
		r := start(t, options(a))
		defer r.stop()
		if n := applies(a); n != 0 {
			t.Errorf("%d writeVerbs", n)
		}
	})
}
