package ca

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// slowAPI is an API server that works on few questions at a time, each for a while; the others wait in order.
type slowAPI struct {
	kubernetes.Interface
	workers chan struct{}
	latency time.Duration
}

func (s slowAPI) work(ctx context.Context) error {
	select {
	case s.workers <- struct{}{}:
		defer func() { <-s.workers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-time.After(s.latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slowAPI) AuthenticationV1() authenticationclient.AuthenticationV1Interface {
	return slowAuthentication{s.Interface.AuthenticationV1(), s}
}

type slowAuthentication struct {
	authenticationclient.AuthenticationV1Interface
	api slowAPI
}

func (s slowAuthentication) TokenReviews() authenticationclient.TokenReviewInterface {
	return slowReviews{s.AuthenticationV1Interface.TokenReviews(), s.api}
}

type slowReviews struct {
	authenticationclient.TokenReviewInterface
	api slowAPI
}

func (s slowReviews) Create(ctx context.Context, review *authenticationv1.TokenReview, o metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if err := s.api.work(ctx); err != nil {
		return nil, err
	}
	return s.TokenReviewInterface.Create(ctx, review, o)
}

func (s slowAPI) CoreV1() coreclient.CoreV1Interface { return slowCore{s.Interface.CoreV1(), s} }

type slowCore struct {
	coreclient.CoreV1Interface
	api slowAPI
}

func (s slowCore) Pods(namespace string) coreclient.PodInterface {
	return slowPods{s.CoreV1Interface.Pods(namespace), s.api}
}

type slowPods struct {
	coreclient.PodInterface
	api slowAPI
}

func (s slowPods) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Pod, error) {
	if err := s.api.work(ctx); err != nil {
		return nil, err
	}
	return s.PodInterface.Get(ctx, name, o)
}

// startClients makes the agents of pods of one account, all of them behind one address.
func startClients(t *testing.T, r *running, a *api, agents int) (clients []*certclient.Client) {
	t.Helper()
	for i := range agents {
		client, _ := workloadClient(t, r, a, "bookinfo", a.workload(t, "bookinfo", "reviews", fmt.Sprintf("p%d", i)))
		clients = append(clients, client)
	}
	return clients
}

// serveAll starts the agents and returns how long it takes until all have a certificate.
func serveAll(t *testing.T, clients []*certclient.Client) time.Duration {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	begun := time.Now()
	for _, client := range clients {
		running.Go(func() { _ = client.Run(ctx) })
	}
	ready, cancel := context.WithTimeout(ctx, 10*time.Minute) // the timeout of a startup probe
	defer cancel()
	missing := 0
	for _, client := range clients {
		if client.WaitReady(ready) != nil {
			missing++
		}
	}
	took := time.Since(begun)
	stop()
	running.Wait()
	if missing > 0 {
		t.Errorf("%d of %d have no certificate after %s", missing, len(clients), took)
	}
	return took
}

// More agents than the API server could answer for within their timeout, at once: those that are let in are served, the
// others come back, and nothing that was begun is thrown away.
func TestManyClientsAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const agents, each = 60, 3 * time.Second // two questions
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		o := options(a)
		o.ReviewClient = slowAPI{a, make(chan struct{}, 1), each / 2}
		r := start(t, o)
		defer r.stop()
		r.service.slots = semaphore.NewWeighted(3)
		if took := serveAll(t, startClients(t, r, a, agents)); took > 3*agents*each {
			t.Errorf("%d certificates took %s, at one in %s", agents, took, each)
		}
		if n := metricValue(t, r, "citadel_server_success_cert_issuance_count"); n != agents {
			t.Errorf("%v certificates for %d agents", n, agents)
		}
	})
}

// Three addresses that send invalid tokens without a pause do not keep other clients from their certificates.
func TestUnauthenticatedClientsDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		o := options(a)
		o.ReviewClient = slowAPI{a, make(chan struct{}, 10), 100 * time.Millisecond}
		r := start(t, o)
		defer r.stop()
		others := startClients(t, r, a, 20)
		ctx, stop := context.WithCancel(t.Context())
		var untrusted sync.WaitGroup
		for i := range 3 {
			from := peer.NewContext(withToken(ctx, "Bearer nonsense"), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i))}})
			untrusted.Go(func() { sendInvalidTokens(from, t, r) })
		}
		time.Sleep(time.Minute)
		if took := serveAll(t, others); took > 10*time.Second {
			t.Errorf("20 certificates took %s beside untrusted clients", took)
		}
		stop()
		untrusted.Wait()
	})
}

// sendInvalidTokens begins a call every 20 ms until ctx ends, without waiting for answers.
func sendInvalidTokens(ctx context.Context, t *testing.T, r *running) {
	var calls sync.WaitGroup
	defer calls.Wait()
	ask := request(t)
	for ctx.Err() == nil {
		calls.Go(func() {
			_, err := r.service.CreateCertificate(ctx, ask)
			if code := status.Code(err); ctx.Err() == nil && code != codes.Unauthenticated && code != codes.ResourceExhausted {
				t.Errorf("an untrusted client gets %v", err)
			}
		})
		time.Sleep(20 * time.Millisecond)
	}
}

// An untrusted client does not fill the log, and does not use up the quota of others.
func TestRefusalLogIsLimitedPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newAPI(namespace("istio-system"))
		o := options(a)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		r := start(t, o)
		defer r.stop()
		ask := request(t)
		refusedFrom := func(address byte, times int) {
			from := peer.NewContext(withToken(t.Context(), "Bearer nonsense"), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, address)}})
			for range times {
				if _, err := r.service.CreateCertificate(from, ask); err == nil {
					t.Fatal("a token of nobody got a certificate")
				}
			}
		}
		refusedFrom(1, 50*logBurst)
		refusedFrom(2, 1)
		synctest.Wait()
		for peer, want := range map[string]int{"peer=10.0.0.1": logBurst, "peer=10.0.0.2": 1} {
			if got := strings.Count(log.String(), peer); got != want {
				t.Errorf("%d lines with %s, want %d", got, peer, want)
			}
		}
		if got := metricValue(t, r, "citadel_server_refused_count"); got != 50*logBurst+1 {
			t.Errorf("%v refusals are metricValue, want all", got)
		}
	})
}
