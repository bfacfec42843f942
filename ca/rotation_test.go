package ca

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// with is the data of a Secret in which a root signs and the bundle holds another too.
func with(signs, other *authority) map[string][]byte {
	return map[string][]byte{
		rootCertKey: signs.data[rootCertKey], rootKeyKey: signs.data[rootKeyKey],
		extraRootsKey: slices.Concat(other.data[rootCertKey], signs.data[rootCertKey]),
	}
}

// changeRoot edits the root Secret and waits until citadel has seen it.
func changeRoot(t *testing.T, a *api, version string, data map[string][]byte) {
	t.Helper()
	secret := getRoot(t, a)
	secret.ResourceVersion, secret.Data = version, data
	if _, err := a.CoreV1().Secrets("istio-system").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// expectRoots fails unless one root signs and the published bundle holds exactly these.
func expectRoots(t *testing.T, r *running, a *api, signs *authority, all ...*authority) {
	t.Helper()
	synctest.Wait()
	if got := current(t, r).cert; !got.Equal(signs.cert) {
		t.Errorf("%s signs, want %s", got.Subject, signs.cert.Subject)
	}
	bundle := published(t, a, "istio-system")
	for _, root := range all {
		if len(bundle.Roots()) != len(all) || !bundle.Has(root.cert) {
			t.Errorf("%d roots published, want %d, one of them %s", len(bundle.Roots()), len(all), root.cert.Subject)
		}
	}
}

// testRotation is a citadel whose Secret has just got another root that keeps the old one.
func testRotation(t *testing.T, test func(r *running, a *api, old, next *authority)) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		old, next := current(t, r), newAuthority(t)
		changeRoot(t, a, "2", with(next, old))
		expectRoots(t, r, a, old, old, next)
		test(r, a, old, next)
	})
}

// Peers do not trust certificates of the new root before its bundle is everywhere.
func TestNewRootSignsAfterGracePeriod(t *testing.T) {
	testRotation(t, func(r *running, a *api, old, next *authority) {
		time.Sleep(rotationGrace - time.Second)
		expectRoots(t, r, a, old, old, next)
		time.Sleep(time.Second)
		expectRoots(t, r, a, next, old, next)
		changeRoot(t, a, "3", next.data)
		expectRoots(t, r, a, next, next)
	})
}

// A deleted Secret is restored with the new root, of which citadel has the only copy.
func TestNewRootIsRestoredDuringGracePeriod(t *testing.T) {
	testRotation(t, func(r *running, a *api, old, next *authority) {
		deleteRoot(t, a)
		synctest.Wait()
		if restored := getRoot(t, a).Data; !maps.EqualFunc(restored, with(next, old), bytes.Equal) {
			t.Error("restored otherwise than it was")
		}
		time.Sleep(rotationGrace)
		expectRoots(t, r, a, next, old, next)
	})
}

func TestRotationCanBeReverted(t *testing.T) {
	testRotation(t, func(r *running, a *api, old, next *authority) {
		time.Sleep(rotationGrace / 2)
		changeRoot(t, a, "3", with(old, next))
		time.Sleep(rotationGrace)
		expectRoots(t, r, a, old, old, next)
	})
}

func TestTrustedRootSignsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		old, next := current(t, r), newAuthority(t)
		changeRoot(t, a, "2", with(old, next))
		expectRoots(t, r, a, old, old, next)
		time.Sleep(rotationGrace)
		changeRoot(t, a, "3", with(next, old))
		expectRoots(t, r, a, next, old, next)
	})
}

// An expired root signs nothing: the new one does not wait for it.
func TestExpiringRootEndsGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, err := generateRoot("cluster.local", rotationGrace/2, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		a := newAPI(namespace("istio-system"), rootSecretOf(old, "istio-system"))
		r := start(t, options(a))
		defer r.stop()
		next := newAuthority(t)
		changeRoot(t, a, "2", with(next, old))
		expectRoots(t, r, a, old, old, next)
		time.Sleep(rotationGrace / 2)
		expectRoots(t, r, a, next, old, next)
	})
}
