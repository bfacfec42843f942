package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

func withToken(ctx context.Context, values ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.MD{"authorization": values})
}

func withCertificate(ctx context.Context, leaf *x509.Certificate) context.Context {
	state := tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
	return peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

func noRateLimit(spiffe.ID) error { return nil }

// One workload and its good token; every case spoils one thing.
func TestTokens(t *testing.T) {
	cases := map[string]struct {
		spoil func(*testing.T, *api, *token)
		want  string // reason of the refusal; empty: accepted
	}{
		"Good":              {func(*testing.T, *api, *token) {}, ""},
		"APIServerAudience": {func(_ *testing.T, _ *api, k *token) { k.audiences = []string{"https://kubernetes.default.svc"} }, "token_refused"},
		"OneOfItsAudiences": {func(_ *testing.T, _ *api, k *token) { k.audiences = []string{"vault", audience} }, ""},
		"Expired":           {func(_ *testing.T, _ *api, k *token) { k.expired = true }, "token_refused"},
		"OtherIssuer":       {func(_ *testing.T, a *api, _ *token) { clear(a.tokens) }, "token_refused"},
		"NotBoundToPod":     {func(_ *testing.T, _ *api, k *token) { k.pod, k.podUID = "", "" }, "token_not_bound_to_pod"},
		"NoPodUID":          {func(_ *testing.T, _ *api, k *token) { k.podUID = "" }, "token_not_bound_to_pod"},
		"PodDeleted":        {func(_ *testing.T, _ *api, k *token) { k.pod = "gone" }, "pod_gone"},
		"PodReplaced":       {func(_ *testing.T, _ *api, k *token) { k.podUID = "older" }, "pod_replaced"},
		"AccountDeleted":    {deleteServiceAccount, "token_refused"},
		"AccountRecreated":  {func(_ *testing.T, _ *api, k *token) { k.accountUID = "older" }, "token_refused"},
		"PodOfOtherAccount": {func(t *testing.T, a *api, _ *token) {
			editPod(t, a, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" })
		}, "pod_account"},
		"PodFinished": {func(t *testing.T, a *api, _ *token) {
			editPod(t, a, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		}, "pod_finished"},
		"AudienceUnawareAPI":   {answer(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }), "token_audience"},
		"OtherAudienceInReply": {answer(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"api"} }), "token_audience"},
		"ErrorAndYes":          {answer(func(s *authenticationv1.TokenReviewStatus) { s.Error = "partly" }), "token_refused"},
		"User":                 {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "admin" }), "token_not_service_account"},
		"Node":                 {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:node:a" }), "token_not_service_account"},
		"FourParts":            {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:a:b:c" }), "token_not_service_account"},
		"NoAccountName":        {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:a:" }), "token_identity"},
		"PathInAccountName":    {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:a:b/../c" }), "token_identity"},
		"TwoPodNames":          {answer(func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[extraPodName] = []string{"p", "q"} }), "token_not_bound_to_pod"},
		"APIServerDown":        {apiDown, "token_review_failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := newAPI()
			text := a.workload(t, "bookinfo", "reviews", "p")
			k := a.tokens[text]
			a.tokens[text] = k
			c.spoil(t, a, &k)
			if _, ok := a.tokens[text]; ok {
				a.tokens[text] = k
			}
			who, err := authenticator{client: a, trustDomain: "cluster.local", now: time.Now, checkRate: noRateLimit}.
				authenticate(withToken(t.Context(), "Bearer "+text), trust.Bundle{})
			if got := reasonOf(err); got != c.want || (err == nil) != (c.want == "") {
				t.Fatalf("refused %q (%v), want %q", got, err, c.want)
			}
			want := spiffe.ID{TrustDomain: "cluster.local", Namespace: "bookinfo", ServiceAccount: "reviews"}
			if err == nil && (who.id != want || who.facts.Workload != "reviews-v1" || who.proof != "token") {
				t.Errorf("authenticated as %+v", who)
			}
		})
	}
}

// Who has asked too often costs one question, not two.
func TestRateLimitedIdentityCostsNoPodLookup(t *testing.T) {
	a := newAPI()
	text := a.workload(t, "bookinfo", "reviews", "p")
	a.ClearActions()
	spent := func(spiffe.ID) error { return refused(codes.ResourceExhausted, "rate_identity", errTooMany) }
	_, err := authenticator{client: a, trustDomain: "cluster.local", now: time.Now, checkRate: spent}.
		authenticate(withToken(t.Context(), "Bearer "+text), trust.Bundle{})
	if got := reasonOf(err); got != "rate_identity" {
		t.Errorf("refused %q (%v)", got, err)
	}
	if actions := a.Actions(); len(actions) != 1 || actions[0].GetResource().Resource != "tokenreviews" {
		t.Errorf("asked the API server %v", actions)
	}
}

func deleteServiceAccount(t *testing.T, a *api, k *token) {
	if err := a.CoreV1().ServiceAccounts(k.namespace).Delete(t.Context(), k.account, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func editPod(t *testing.T, a *api, edit func(*corev1.Pod)) {
	pod, err := a.CoreV1().Pods("bookinfo").Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	edit(pod)
	if _, err := a.CoreV1().Pods("bookinfo").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// answer is an API server whose review of a token has an unexpected field.
func answer(edit func(*authenticationv1.TokenReviewStatus)) func(*testing.T, *api, *token) {
	return func(_ *testing.T, a *api, _ *token) {
		a.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
			review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
			review.Status = a.review(review.Spec)
			edit(&review.Status)
			return true, review, nil
		})
	}
}

func apiDown(_ *testing.T, a *api, _ *token) {
	a.PrependReactor("create", "tokenreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
}

func TestBearerTokenParsing(t *testing.T) {
	cases := map[string]struct {
		values []string
		want   string
		bad    bool
	}{
		"None":      {nil, "", false},
		"One":       {[]string{"Bearer abc"}, "abc", false},
		"LowerCase": {[]string{"bearer abc"}, "abc", false},
		"Two":       {[]string{"Bearer abc", "Bearer def"}, "", true},
		"Basic":     {[]string{"Basic abc"}, "", true},
		"Bare":      {[]string{"abc"}, "", true},
		"Empty":     {[]string{"Bearer "}, "", true},
		"Huge":      {[]string{"Bearer " + string(slices.Repeat([]byte{'x'}, maxTokenBytes+1))}, "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := bearerToken(withToken(t.Context(), c.values...))
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("bearerToken = %q, %v", got, err)
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	signer, other := newAuthority(t), newAuthority(t)
	leaf := func(a *authority, trustDomain string) *x509.Certificate {
		id, err := spiffe.New(trustDomain, "default", "sleep")
		if err != nil {
			t.Fatal(err)
		}
		cert, err := testIssuer().Issue(a, certNames{id: id}, newKey(t).Public(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	a := authenticator{client: newAPI(), trustDomain: "cluster.local", now: time.Now, checkRate: noRateLimit}
	later := a
	later.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	good := leaf(signer, "cluster.local")
	cases := map[string]struct {
		a    authenticator
		ctx  context.Context
		want string
	}{
		"Good":             {a, withCertificate(t.Context(), good), ""},
		"Expired":          {later, withCertificate(t.Context(), good), "certificate_invalid"},
		"RootGone":         {a, withCertificate(t.Context(), leaf(other, "cluster.local")), "certificate_invalid"},
		"OtherTrustDomain": {a, withCertificate(t.Context(), leaf(signer, "other.example")), "certificate_trust_domain"},
		"TheRootItself":    {a, withCertificate(t.Context(), signer.cert), "certificate_identity"},
		"Nothing":          {a, t.Context(), "no_credential"},
		"TLSOnly":          {a, peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{}}), "no_credential"},
		"BadTokenToo":      {a, withToken(withCertificate(t.Context(), good), "Bearer nonsense"), "token_refused"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			who, err := c.a.authenticate(c.ctx, signer.bundle)
			if got := reasonOf(err); got != c.want || (err == nil) != (c.want == "") {
				t.Fatalf("refused %q (%v), want %q", got, err, c.want)
			}
			if err == nil {
				want := caller{id: spiffe.ID{TrustDomain: "cluster.local", Namespace: "default", ServiceAccount: "sleep"}, proof: "certificate", expires: good.NotAfter}
				if diff := cmp.Diff(want, who, cmp.AllowUnexported(caller{})); diff != "" {
					t.Errorf("caller (-want +got):\n%s", diff)
				}
			}
		})
	}
}
