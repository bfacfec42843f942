package ca

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// Reasons for which there is no root to sign with. They read as conditions: in the log, in /ready and from there in the
// status of the Installation.
var (
	errStarting     = errors.New("RootPending: looking for the root")
	errRootMissing  = errors.New("RootMissing: the Secret " + rootSecret + " is gone while the ConfigMap " + bundleName + " still holds its root, and a second root would cut the mesh in two; restore the Secret, or delete that ConfigMap to start with a new root")
	errRootReplaced = errors.New("RootReplaced: the Secret " + rootSecret + " holds another root without keeping the old one in " + extraRootsKey + "; put the old one there too, or restart citadel to make the new root the only one, and every workload loses its peers until it has renewed")
)

// retryInterval is how long a problem lasts that nobody tells us the end of.
const retryInterval = 5 * time.Second

// rotationGrace is how long after its bundle a new root begins to sign. A kubelet brings a changed ConfigMap into its pods within
// a minute or two; before that, peers do not believe what the new root has signed.
const rotationGrace = 10 * time.Minute

// rootStore holds the root. The Secret is the truth between replicas: it is created, never updated: the first replica that creates it
// decides, and the others read it.
type rootStore struct {
	client      kubernetes.Interface
	namespace   string
	trustDomain string
	ttl         time.Duration
	now         func() time.Time
	log         *slog.Logger
	changed     func(*authority) // called when there is a new root or bundle

	readErr error // why the Secret could not be read; only Run looks at it

	mu      sync.Mutex
	current *authority // kept while problem is set: it may have to be restored
	problem error
}

// authority returns the root, or why there is none.
func (s *rootStore) authority() (*authority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem != nil {
		return nil, s.problem
	}
	return s.current, nil
}

// Run looks whenever events has a value (the Secret changed), again after a while as long as there is a problem, and when a
// new root takes over.
func (s *rootStore) Run(ctx context.Context, events <-chan struct{}) error {
	for {
		var again <-chan time.Time
		if err := s.sync(ctx); err != nil {
			again = time.After(retryInterval)
		} else if takeover := s.loaded().takeover; !takeover.IsZero() {
			again = time.After(takeover.Sub(s.now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-events:
		case <-again:
		}
	}
}

// sync brings memory and Secret together, once.
func (s *rootStore) sync(ctx context.Context) error {
	before := s.loaded()
	after, err := s.resolve(ctx, before)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if before == nil || !errors.As(err, new(*unreadable)) {
		s.readErr = nil
		s.setCurrent(after, err)
		return err
	}
	if s.readErr == nil || s.readErr.Error() != err.Error() {
		s.log.Error("root secret not usable, the root in memory stays in force", "error", err)
	}
	s.readErr = err
	return err
}

func (s *rootStore) loaded() *authority {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *rootStore) setCurrent(a *authority, problem error) {
	s.mu.Lock()
	fresh := a != s.current
	if problem != nil && (s.problem == nil || s.problem.Error() != problem.Error()) {
		s.log.Error("no root to sign with", "error", problem)
	}
	recovered := problem == nil && s.problem != nil
	s.current, s.problem = a, problem
	s.mu.Unlock()
	if problem == nil && (fresh || recovered) {
		s.log.Info("root ready", "root", trust.Fingerprint(a.cert), "expires", a.cert.NotAfter, "bundle", len(a.bundle.Roots()))
		if !a.takeover.IsZero() {
			s.log.Info("a new root is published, the old one signs until every proxy has it", "takeover", a.takeover)
		}
		s.changed(a)
	}
}

// resolve decides from what is in memory, in the Secret and already published which root is in force:
//
//	memory   Secret             bundle out there   →
//	none     a root             anything           that root
//	a root   the same           anything           the same
//	a root   other, keeps ours  anything           the other, when its bundle has been out for a while: a rotation
//	a root   other              anything           RootReplaced
//	a root   none               anything           restore the Secret
//	none     none               none               mint
//	none     none               some               RootMissing
//
// A Secret that can't be read as a root counts as a problem without memory. With it all stays as it is, until one can be read:
// it may have been deleted, or be another.
func (s *rootStore) resolve(ctx context.Context, memory *authority) (*authority, error) {
	stored, err := s.stored(ctx)
	if err != nil {
		return memory, err
	}
	switch {
	case stored != nil && memory == nil:
		return stored, nil
	case stored != nil:
		return s.follow(memory, stored)
	case memory != nil:
		s.log.Warn("root secret deleted, restoring it", "root", trust.Fingerprint(memory.cert))
		return s.create(ctx, memory, memory)
	}
	if err := s.checkNothingPublished(ctx); err != nil {
		return nil, err
	}
	generated, err := generateRoot(s.trustDomain, s.ttl, s.now())
	if err != nil {
		return nil, err
	}
	return s.create(ctx, nil, generated)
}

// follow takes over a changed Secret if everybody who trusts the old root will still be believed. Its bundle counts at once; a
// new root signs when all workloads have had the time to receive it, and until then the old one does, unless it expires.
func (s *rootStore) follow(memory, stored *authority) (*authority, error) {
	if !stored.bundle.Has(memory.cert) {
		return memory, errRootReplaced
	}
	if stored.bundle.Equal(memory.bundle) {
		stored.since = memory.since
	}
	takeover := stored.since.Add(rotationGrace)
	if takeover.After(memory.cert.NotAfter) {
		takeover = memory.cert.NotAfter
	}
	if !stored.cert.Equal(memory.cert) && s.now().Before(takeover) {
		stored.cert, stored.key, stored.takeover = memory.cert, memory.key, takeover
	}
	if maps.EqualFunc(stored.data, memory.data, bytes.Equal) && stored.takeover.Equal(memory.takeover) {
		return memory, nil
	}
	return stored, nil
}

// create stores an authority. Another replica may have been faster: then its root is the one.
func (s *rootStore) create(ctx context.Context, memory, a *authority) (*authority, error) {
	_, err := s.client.CoreV1().Secrets(s.namespace).Create(ctx, rootSecretOf(a, s.namespace), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		stored, err := s.stored(ctx)
		switch {
		case err != nil:
			return memory, err
		case stored == nil:
			return memory, fmt.Errorf("RootPending: the Secret %s comes and goes", rootSecret)
		case memory != nil:
			return s.follow(memory, stored)
		}
		return stored, nil
	}
	if err != nil {
		return memory, fmt.Errorf("RootPending: create secret %s/%s: %w", s.namespace, rootSecret, err)
	}
	s.log.Info("root secret created", "root", trust.Fingerprint(a.cert))
	return a, nil
}

// stored reads the Secret past every cache; nil means that there is none.
func (s *rootStore) stored(ctx context.Context) (*authority, error) {
	secret, err := s.client.CoreV1().Secrets(s.namespace).Get(ctx, rootSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &unreadable{fmt.Errorf("RootPending: get secret %s/%s: %w", s.namespace, rootSecret, err)}
	}
	a, err := parseAuthority(secret.Data, s.now())
	if err != nil {
		return nil, &unreadable{fmt.Errorf("RootUnreadable: secret %s/%s: %w", s.namespace, rootSecret, err)}
	}
	return a, nil
}

// unreadable says that the Secret could not be read, so that nothing is known of it.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// checkNothingPublished refuses to mint while somebody trusts a root that is not there.
func (s *rootStore) checkNothingPublished(ctx context.Context) error {
	published, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, bundleName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("RootPending: get configmap %s/%s: %w", s.namespace, bundleName, err)
	}
	if holdsRoots(published) {
		return errRootMissing
	}
	return nil
}

// holdsRoots reports whether a bundle ConfigMap says anything; text that can't be parsed may be a root too.
func holdsRoots(cm *corev1.ConfigMap) bool { return cm.Data[bundleKey] != "" }
