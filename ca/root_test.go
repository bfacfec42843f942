package ca

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

func getRoot(t *testing.T, a *api) *corev1.Secret {
	t.Helper()
	secret, err := a.CoreV1().Secrets("istio-system").Get(t.Context(), rootSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func deleteRoot(t *testing.T, a *api) {
	t.Helper()
	if err := a.CoreV1().Secrets("istio-system").Delete(t.Context(), rootSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T, r *running) *authority {
	t.Helper()
	root, err := r.rootStore.authority()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// writeVerbs lists what was written to the Secrets of the API server.
func writeVerbs(a *api, resource string) (verbs []string) {
	for _, action := range a.Actions() {
		if action.GetResource().Resource == resource && !slices.Contains([]string{"get", "list", "watch"}, action.GetVerb()) {
			verbs = append(verbs, action.GetVerb())
		}
	}
	return verbs
}

func TestRootIsCreatedOnceAndReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		first := current(t, r)
		r.stop()
		secret := getRoot(t, a)
		if secret.Type != rootSecretType || !owner.Owned(secret.Labels) || len(secret.Data) != 2 {
			t.Errorf("secret of type %q with labels %v and %d keys", secret.Type, secret.Labels, len(secret.Data))
		}
		if life := time.Until(first.cert.NotAfter); life != 3650*24*time.Hour || first.cert.PublicKeyAlgorithm.String() != "ECDSA" {
			t.Errorf("root lives %s with a key of %s", life, first.cert.PublicKeyAlgorithm)
		}

		again := start(t, options(a))
		defer again.stop()
		if !current(t, again).cert.Equal(first.cert) {
			t.Error("a restart has another root")
		}
		if got := writeVerbs(a, "secrets"); !slices.Equal(got, []string{"create"}) {
			t.Errorf("writeVerbs to secrets: %v", got)
		}
	})
}

// Both replicas find no Secret before either has created one.
func TestReplicasUseOneRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		found := 0
		a.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			if found++; found > 2 {
				return false, nil, nil
			}
			return true, nil, apierrors.NewNotFound(corev1.Resource("secrets"), rootSecret)
		})
		one, two := start(t, options(a)), start(t, options(a))
		defer one.stop()
		defer two.stop()
		if !current(t, one).cert.Equal(current(t, two).cert) {
			t.Error("two roots")
		}
		if got := writeVerbs(a, "secrets"); !slices.Equal(got, []string{"create", "create"}) {
			t.Errorf("writeVerbs to secrets: %v: the race did not happen", got)
		}
	})
}

func TestDeletedRootIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		before, root := getRoot(t, a), current(t, r)
		deleteRoot(t, a)
		synctest.Wait()
		after := getRoot(t, a)
		if string(after.Data[rootKeyKey]) != string(before.Data[rootKeyKey]) || !owner.Owned(after.Labels) {
			t.Error("restored otherwise than it was")
		}
		if current(t, r) != root {
			t.Error("the root changed")
		}
	})
}

// Nobody tells a second time that the Secret is gone.
func TestDeletedRootIsRestoredAfterFailedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		root, failures := current(t, r), 0
		a.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			if failures++; failures > 2 {
				return false, nil, nil
			}
			return true, nil, errors.New("etcdserver: leader changed")
		})
		deleteRoot(t, a)
		synctest.Wait()
		if current(t, r) != root {
			t.Error("a failed look takes the root away")
		}
		time.Sleep(2*retryInterval + time.Second)
		if string(getRoot(t, a).Data[rootKeyKey]) != string(root.data[rootKeyKey]) || current(t, r) != root {
			t.Error("restored otherwise than it was")
		}
	})
}

func TestNoSecondRootWhileBundleIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		start(t, options(a)).stop()
		saved := getRoot(t, a)
		deleteRoot(t, a)

		r := start(t, options(a))
		defer r.stop()
		time.Sleep(time.Minute)
		if _, err := r.rootStore.authority(); !errors.Is(err, errRootMissing) {
			t.Fatalf("authority: %v, want %v", err, errRootMissing)
		}
		if got := writeVerbs(a, "secrets"); !slices.Equal(got, []string{"create", "delete"}) {
			t.Errorf("writeVerbs to secrets: %v", got)
		}

		saved.ResourceVersion = ""
		if _, err := a.CoreV1().Secrets("istio-system").Create(t.Context(), saved, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if root := current(t, r); string(root.data[rootCertKey]) != string(saved.Data[rootCertKey]) {
			t.Error("the restored Secret is not the root")
		}
	})
}

func TestNewRootAfterBundleIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		start(t, options(a)).stop()
		deleteRoot(t, a)
		if err := a.CoreV1().ConfigMaps("istio-system").Delete(t.Context(), bundleName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r := start(t, options(a))
		defer r.stop()
		current(t, r)
		getRoot(t, a)
	})
}

func TestChangedRootSecret(t *testing.T) {
	cases := map[string]struct {
		data func(old *authority, next *authority) map[string][]byte
		want error
		next bool
	}{
		"AnotherRoot": {
			data: func(_, next *authority) map[string][]byte { return next.data },
			want: errRootReplaced,
		},
		"RotationKeepsTheOld": {
			data: func(old, next *authority) map[string][]byte { return with(next, old) },
			next: true,
		},
		"Unreadable": {
			data: func(_, _ *authority) map[string][]byte { return map[string][]byte{rootCertKey: []byte("x")} },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(namespace("istio-system"))
				r := start(t, options(a))
				defer r.stop()
				old, next := current(t, r), newAuthority(t)
				changeRoot(t, a, "changed", c.data(old, next))
				time.Sleep(rotationGrace)
				synctest.Wait()
				root, err := r.rootStore.authority()
				if !errors.Is(err, c.want) {
					t.Fatalf("authority: %v, want %v", err, c.want)
				}
				if err == nil && root.cert.Equal(next.cert) != c.next {
					t.Errorf("signs with the new root: %v, want %v", !c.next, c.next)
				}
				want := old.bundle // a replica with a problem publishes nothing
				if c.next {
					want = root.bundle
				}
				if !published(t, a, "istio-system").Equal(want) {
					t.Errorf("published is another bundle than %d roots", len(want.Roots()))
				}
			})
		})
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	good, other := newAuthority(t), newAuthority(t)
	leaf, err := testIssuer().Issue(good, sleep(t), newKey(t).Public(), 0)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(cert, key []byte) map[string][]byte { return map[string][]byte{rootCertKey: cert, rootKeyKey: key} }
	cert, key := good.data[rootCertKey], good.data[rootKeyKey]
	cases := map[string]struct {
		data map[string][]byte
		now  time.Time
	}{
		"Empty":      {nil, time.Now()},
		"NoKey":      {secret(cert, nil), time.Now()},
		"OtherKey":   {secret(cert, other.data[rootKeyKey]), time.Now()},
		"GarbledKey": {secret(cert, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), time.Now()},
		"CertAsKey":  {secret(cert, cert), time.Now()},
		"Leaf":       {secret(trust.EncodeCertificate(leaf), key), time.Now()},
		"TwoRoots":   {secret(slices.Concat(cert, other.data[rootCertKey]), key), time.Now()},
		"Expired":    {secret(cert, key), time.Now().Add(11 * 365 * 24 * time.Hour)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseAuthority(c.data, c.now)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "AAAA") {
				t.Errorf("%v quotes the key", err)
			}
		})
	}
}
