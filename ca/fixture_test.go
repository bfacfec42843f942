package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// token is what the fake API server knows about a bearer token; it refuses what a real one refuses.
type token struct {
	namespace, account string
	accountUID         types.UID
	pod                string
	podUID             types.UID
	audiences          []string
	expired            bool
}

// api is an API server with service accounts, pods and tokens that behaves in a TokenReview as the real one.
type api struct {
	*fake.Clientset
	tokens map[string]token
}

func newAPI(objects ...runtime.Object) *api {
	a := &api{Clientset: fake.NewClientset(objects...), tokens: map[string]token{}}
	a.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status = a.review(review.Spec)
		return true, review, nil
	})
	return a
}

func (a *api) review(spec authenticationv1.TokenReviewSpec) authenticationv1.TokenReviewStatus {
	deny := func(why string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Error: why}
	}
	t, ok := a.tokens[spec.Token]
	if !ok {
		return deny("invalid bearer token")
	}
	if t.expired {
		return deny("token has expired")
	}
	common := slices.DeleteFunc(slices.Clone(spec.Audiences), func(s string) bool { return !slices.Contains(t.audiences, s) })
	if len(common) == 0 {
		return deny("token audiences don't intersect")
	}
	// The tracker, because the client would wait for the lock that this call holds.
	account, err := a.Tracker().Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), t.namespace, t.account)
	if err != nil || account.(*corev1.ServiceAccount).UID != t.accountUID {
		return deny("service account has been deleted")
	}
	status := authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: common}
	status.User.Username = "system:serviceaccount:" + t.namespace + ":" + t.account
	if t.pod != "" {
		status.User.Extra = map[string]authenticationv1.ExtraValue{extraPodName: {t.pod}, extraPodUID: {string(t.podUID)}}
	}
	return status
}

// workload adds a service account, a pod of it and a token of that pod, whose text it returns.
func (a *api) workload(t *testing.T, namespace, account, pod string) string {
	t.Helper()
	ctx := t.Context()
	_, err := a.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account, UID: types.UID("uid-" + account)},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	_, err = a.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: pod, UID: types.UID("uid-" + pod),
			Labels: map[string]string{"app": "app-of-" + account, "version": "v1", "pod-template-hash": "5d9f"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: account + "-v1-5d9f", Controller: new(true),
			}},
		},
		Spec: corev1.PodSpec{ServiceAccountName: account},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := "token-of-" + namespace + "-" + pod
	a.tokens[text] = token{
		namespace: namespace, account: account, accountUID: types.UID("uid-" + account),
		pod: pod, podUID: types.UID("uid-" + pod), audiences: []string{audience},
	}
	return text
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
}

// options are those of a citadel without monitoring endpoints.
func options(a *api) Options {
	const day = 24 * time.Hour
	return Options{
		Client: a, ReviewClient: a, Namespace: "istio-system", TrustDomain: "cluster.local", ServerName: "istio-citadel.istio-system.svc",
		WorkloadTTL: day, RootTTL: 3650 * day, Logger: slog.New(slog.DiscardHandler),
	}
}

// running is a citadel whose goroutines all live in the test's bubble, reachable in memory.
type running struct {
	*citadel
	listener *bufconn.Listener
	stop     func()
}

// start runs a citadel on the bubble's clock until everything has settled. The caller stops it.
func start(t *testing.T, o Options) *running {
	t.Helper()
	c, err := newCitadel(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{citadel: c, listener: bufconn.Listen(1 << 20)}
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, r.listener) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
	return r
}

func (r *running) dial(ctx context.Context, _ string) (net.Conn, error) {
	return r.listener.DialContext(ctx)
}

// newAuthority is a root made now.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := generateRoot("cluster.local", 3650*24*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// csr signs a request with a key.
func csr(t *testing.T, key crypto.Signer, template x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return requestPEM(der)
}

func requestPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
