// Package ca is istio-citadel, the certificate authority of the mesh. A workload that proves who it is gets a certificate
// that says so:
//
//	caller ──token or certificate──▶ authenticate ──identity, facts──▶ authorize ──names──▶ issue ──▶ chain
//	caller ──CSR────────────────────────────────────▶ public key ─────────────────────────────┘
//
// The two lines meet only in issue: names come from the authenticator and from fixed tables, the CSR contributes its public
// key and nothing else, so there is nothing in a CSR that could be copied unintentionally. Every certificate is checked after it
// was signed.
//
// Beside that the package keeps the root of the mesh: it creates the Secret once, never changes it, restores it when it is
// deleted, and refuses to make a second root while a bundle of another one is out (root.go, root_store.go). It publishes the
// trust bundle to every namespace (bundle.go).
package ca

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/mesh-operator/mesh-operator/internal/ratelimit"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// callTimeout bounds one call with its two questions to the API server.
const callTimeout = 20 * time.Second

// busy is the reason of a refusal while all slots are taken.
const busy = "busy"

// slots is how many calls are answered at a time. A client that finds none free is refused at once and retries later: in a
// queue its timeout would end just before its turn came, and the queue would be busy without finishing a call.
const slots = 64

// A client chooses how often it is refused. Each address has a quota of log lines, and the metrics count all.
const (
	logBurst    = 20
	logInterval = time.Minute
)

func newLogLimiter() *ratelimit.Limiter {
	return ratelimit.New(rate.Every(logInterval), logBurst, maxRateLimitKeys)
}

// caller is who asks, as an authenticator has proved it.
type caller struct {
	id      spiffe.ID
	facts   telemetry.Peer // empty unless a pod was seen
	proof   string         // how it was proved: "token" or "certificate"
	expires time.Time      // the end of a certificate that proved it
}

// service is the gRPC service. Its only method authenticates.
type service struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer

	authenticator authenticator
	authorizer    *authorizer
	slots         *semaphore.Weighted // one for each call that is being answered
	issuer        issuer
	authority     func() (*authority, error)
	metrics       *metrics
	logLimit      *ratelimit.Limiter // of the log, by address
	log           *slog.Logger
}

// CreateCertificate answers a CSR with a chain, leaf first and root last.
func (s *service) CreateCertificate(ctx context.Context, request *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.metrics.requests.Inc()
	who, chain, err := s.create(ctx, request)
	if err != nil {
		return nil, s.refuse(ctx, who, err)
	}
	s.metrics.issued.Inc()
	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, nil
}

func (s *service) create(ctx context.Context, request *securityv1alpha1.IstioCertificateRequest) (caller, []string, error) {
	signer, err := s.authority()
	if err != nil {
		return caller{}, nil, refused(codes.Unavailable, "no_root", err)
	}
	leave, err := s.enter(sourceAddress(ctx))
	if err != nil {
		return caller{}, nil, err
	}
	defer leave()
	who, err := s.authenticator.authenticate(ctx, signer.bundle)
	if err != nil {
		return who, nil, err
	}
	key, err := publicKey(request.GetCsr())
	if err != nil {
		return who, nil, err
	}
	leaf, err := s.issuer.Issue(signer, s.authorizer.authorize(who), key, lifetime(request.GetValidityDuration()))
	if err != nil {
		return who, nil, refused(codes.Internal, "issue", err)
	}
	s.log.Info("certificate issued", "identity", who.id.String(), "workload", who.facts.Workload, "proof", who.proof,
		"serial", leaf.SerialNumber.Text(16), "expires", leaf.NotAfter)
	return who, []string{string(trust.EncodeCertificate(leaf)), string(trust.EncodeCertificate(signer.cert))}, nil
}

// enter takes a slot, and then one call of the address's rate limit: a call that finds no free slot costs nothing.
func (s *service) enter(address string) (leave func(), err error) {
	if !s.slots.TryAcquire(1) {
		return nil, refused(codes.ResourceExhausted, busy, errTooMany)
	}
	leave = func() { s.slots.Release(1) }
	if err := s.authorizer.checkSourceRate(address); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// lifetime turns the request's seconds into a duration that can't overflow; 0 is what the CA thinks best.
func lifetime(seconds int64) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(max(seconds, 0), longest)) * time.Second
}

// refusal is an error with what the caller may know of it: a code and a word that can be counted.
type refusal struct {
	code   codes.Code
	reason string
	cause  error
}

func refused(code codes.Code, reason string, cause error) error {
	return &refusal{code: code, reason: reason, cause: cause}
}

func (r *refusal) Error() string { return r.reason + ": " + r.cause.Error() }
func (r *refusal) Unwrap() error { return r.cause }

// refuse logs, within the caller's share, and counts the whole truth and returns the short one.
func (s *service) refuse(ctx context.Context, who caller, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{code: codes.Internal, reason: "internal", cause: err}
	}
	s.metrics.refused.WithLabelValues(r.reason).Inc()
	s.logRefusal(r, who, sourceAddress(ctx))
	return status.Error(r.code, "certificate refused: "+r.reason)
}

func (s *service) logRefusal(r *refusal, who caller, address string) {
	share := address
	if r.reason == busy { // the reason is not the caller, and the whole mesh may get it
		share = busy
	}
	if !s.logLimit.Allow(share, time.Now()) {
		return
	}
	identity := ""
	if who.proof != "" {
		identity = who.id.String()
	}
	s.log.Warn("certificate refused", "reason", r.reason, "error", r.cause, "identity", identity, "peer", address)
}

// sourceAddress is the caller's IP, for logs and for limiting untrusted clients; nothing is trusted because of it.
func sourceAddress(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return host
	}
	return p.Addr.String()
}
