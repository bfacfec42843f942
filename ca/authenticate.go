package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

const (
	// audience is the audience that a token must have. One for the API server is refused: a server that receives such tokens
	// could replay them here.
	audience      = "istio-ca"
	maxTokenBytes = 16 << 10

	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// authenticator proves who is calling.
type authenticator struct {
	client      kubernetes.Interface
	trustDomain string
	now         func() time.Time
	checkRate   func(spiffe.ID) error // has it asked too often? Answered before a pod is looked up for it.
}

// authenticate believes a token, or else a client certificate. A token that is presented decides alone: falling back to
// the certificate would make a refused token succeed.
func (a authenticator) authenticate(ctx context.Context, bundle trust.Bundle) (caller, error) {
	token, err := bearerToken(ctx)
	if err != nil {
		return caller{}, refused(codes.Unauthenticated, "token_malformed", err)
	}
	if token != "" {
		return a.authenticateToken(ctx, token)
	}
	return a.authenticateCertificate(ctx, bundle)
}

// bearerToken returns the one token of the call, or "" when there is none.
func bearerToken(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%d authorization values", len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxTokenBytes {
		return "", errors.New("authorization is not a bearer token of reasonable length")
	}
	return token, nil
}

// authenticateToken asks the API server about the token, then looks at the pod it is bound to. The API server's word is taken for
// issuer, signature, expiry and for the account still existing; none of it is parsed here.
func (a authenticator) authenticateToken(ctx context.Context, token string) (caller, error) {
	review, err := a.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return caller{}, refused(codes.Unavailable, "token_review_failed", err)
	}
	user, err := tokenUserOf(review.Status)
	if err != nil {
		return caller{}, err
	}
	id, err := spiffe.New(a.trustDomain, user.namespace, user.account)
	if err != nil {
		return caller{}, refused(codes.Unauthenticated, "token_identity", err)
	}
	who := caller{id: id, proof: "token"}
	if err := a.checkRate(id); err != nil {
		return who, err
	}
	pod, err := a.pod(ctx, user)
	if err != nil {
		return who, err
	}
	who.facts = factsOf(pod)
	return who, nil
}

// tokenUser is what a token of a pod says.
type tokenUser struct {
	namespace, account string
	podName, podUID    string
}

// tokenUserOf reads the answer to a TokenReview. Tokens that are not bound to a pod (those in Secrets, or made by hand) are
// refused: they outlive what they were given to.
func tokenUserOf(s authenticationv1.TokenReviewStatus) (tokenUser, error) {
	if !s.Authenticated || s.Error != "" {
		return tokenUser{}, refused(codes.Unauthenticated, "token_refused", errors.New("the API server refuses the token: "+s.Error))
	}
	if !slices.Contains(s.Audiences, audience) {
		return tokenUser{}, refused(codes.Unauthenticated, "token_audience", fmt.Errorf("audiences %q", s.Audiences))
	}
	account, ok := strings.CutPrefix(s.User.Username, "system:serviceaccount:")
	parts := strings.Split(account, ":")
	if !ok || len(parts) != 2 {
		return tokenUser{}, refused(codes.Unauthenticated, "token_not_service_account", fmt.Errorf("user %q", s.User.Username))
	}
	user := tokenUser{
		namespace: parts[0],
		account:   parts[1],
		podName:   single(s.User.Extra[extraPodName]),
		podUID:    single(s.User.Extra[extraPodUID]),
	}
	if user.podName == "" || user.podUID == "" {
		return tokenUser{}, refused(codes.Unauthenticated, "token_not_bound_to_pod", fmt.Errorf("user %q", s.User.Username))
	}
	return user, nil
}

func single(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// pod fetches the pod that the token is bound to and checks that it is still that one.
func (a authenticator) pod(ctx context.Context, user tokenUser) (*corev1.Pod, error) {
	pod, err := a.client.CoreV1().Pods(user.namespace).Get(ctx, user.podName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, refused(codes.Unauthenticated, "pod_gone", err)
	case err != nil:
		return nil, refused(codes.Unavailable, "pod_lookup_failed", err)
	case string(pod.UID) != user.podUID:
		return nil, refused(codes.Unauthenticated, "pod_replaced", fmt.Errorf("pod %s/%s has uid %s, the token %s", pod.Namespace, pod.Name, pod.UID, user.podUID))
	case pod.Spec.ServiceAccountName != user.account:
		return nil, refused(codes.Unauthenticated, "pod_account", fmt.Errorf("pod %s/%s runs as %q, the token as %q", pod.Namespace, pod.Name, pod.Spec.ServiceAccountName, user.account))
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return nil, refused(codes.Unauthenticated, "pod_finished", fmt.Errorf("pod %s/%s is %s", pod.Namespace, pod.Name, pod.Status.Phase))
	}
	return pod, nil
}

// authenticateCertificate believes a certificate of our own root. The chain was verified in the handshake; it is verified again,
// because a connection may outlive the certificate or the root. What it proves ends with it: no pod is looked at here, and
// a key that was stolen once would renew itself for ever.
func (a authenticator) authenticateCertificate(ctx context.Context, bundle trust.Bundle) (caller, error) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return caller{}, refused(codes.Unauthenticated, "no_credential", errors.New("no peer"))
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return caller{}, refused(codes.Unauthenticated, "no_credential", errors.New("neither a token nor a client certificate"))
	}
	leaf := info.State.VerifiedChains[0][0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots:       bundle.Pool(),
		CurrentTime: a.now(),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return caller{}, refused(codes.Unauthenticated, "certificate_invalid", err)
	}
	id, err := spiffe.FromCertificate(leaf)
	if err != nil {
		return caller{}, refused(codes.Unauthenticated, "certificate_identity", err)
	}
	if id.TrustDomain != a.trustDomain {
		return caller{}, refused(codes.Unauthenticated, "certificate_trust_domain", fmt.Errorf("identity %s", id))
	}
	return caller{id: id, proof: "certificate", expires: leaf.NotAfter}, a.checkRate(id)
}
