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
	errRootReplaced = errors.New("RootReplaced: the Secret " + rootSecret + " holds another root without keeping the old one in " + moreRootsKey + "; put the old one there too, or restart citadel to make the new root the only one, and every workload loses its peers until it has renewed")
)

// retryInterval is how long a problem lasts that nobody tells us the end of.
const retryInterval = 5 * time.Second

// rotationGrace is how long after its bundle a new root begins to sign. A kubelet brings a changed ConfigMap into its pods within
// a minute or two; before that, peers do not believe what the new root has signed.
const rotationGrace = 10 * time.Minute

// keeper holds the root. The Secret is the truth between replicas: it is created, never updated, so whoever creates it
// first has decided, and everybody else reads.
type keeper struct {
	client      kubernetes.Interface
	namespace   string
	trustDomain string
	ttl         time.Duration
	now         func() time.Time
	log         *slog.Logger
	changed     func(*authority) // called when there is a new root or bundle

	doubt error // why the Secret could not be read; only Run looks at it

	mu      sync.Mutex
	current *authority // kept while problem is set: it may have to be restored
	problem error
}

// authority returns the root, or why there is none.
func (k *keeper) authority() (*authority, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.problem != nil {
		return nil, k.problem
	}
	return k.current, nil
}

// Run looks whenever events has a value (the Secret changed), again after a while as long as there is a problem, and when a
// new root takes over.
func (k *keeper) Run(ctx context.Context, events <-chan struct{}) error {
	for {
		var again <-chan time.Time
		if err := k.sync(ctx); err != nil {
			again = time.After(retryInterval)
		} else if takeover := k.remembered().takeover; !takeover.IsZero() {
			again = time.After(takeover.Sub(k.now()))
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
func (k *keeper) sync(ctx context.Context) error {
	before := k.remembered()
	after, err := k.resolve(ctx, before)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if before == nil || !errors.As(err, new(*unread)) {
		k.doubt = nil
		k.remember(after, err)
		return err
	}
	if k.doubt == nil || k.doubt.Error() != err.Error() {
		k.log.Error("root secret not usable, the root in memory stays in force", "error", err)
	}
	k.doubt = err
	return err
}

func (k *keeper) remembered() *authority {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

func (k *keeper) remember(a *authority, problem error) {
	k.mu.Lock()
	fresh := a != k.current
	if problem != nil && (k.problem == nil || k.problem.Error() != problem.Error()) {
		k.log.Error("no root to sign with", "error", problem)
	}
	recovered := problem == nil && k.problem != nil
	k.current, k.problem = a, problem
	k.mu.Unlock()
	if problem == nil && (fresh || recovered) {
		k.log.Info("root ready", "root", trust.Fingerprint(a.cert), "expires", a.cert.NotAfter, "bundle", len(a.bundle.Roots()))
		if !a.takeover.IsZero() {
			k.log.Info("a new root is published, the old one signs until every proxy has it", "takeover", a.takeover)
		}
		k.changed(a)
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
func (k *keeper) resolve(ctx context.Context, memory *authority) (*authority, error) {
	stored, err := k.stored(ctx)
	if err != nil {
		return memory, err
	}
	switch {
	case stored != nil && memory == nil:
		return stored, nil
	case stored != nil:
		return k.follow(memory, stored)
	case memory != nil:
		k.log.Warn("root secret deleted, restoring it", "root", trust.Fingerprint(memory.cert))
		return k.create(ctx, memory, memory)
	}
	if err := k.checkNothingPublished(ctx); err != nil {
		return nil, err
	}
	minted, err := mint(k.trustDomain, k.ttl, k.now())
	if err != nil {
		return nil, err
	}
	return k.create(ctx, nil, minted)
}

// follow takes over a changed Secret if everybody who trusts the old root will still be believed. Its bundle counts at once; a
// new root signs when everybody has had the time to learn of it, and until then the old one does, unless it expires.
func (k *keeper) follow(memory, stored *authority) (*authority, error) {
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
	if !stored.cert.Equal(memory.cert) && k.now().Before(takeover) {
		stored.cert, stored.key, stored.takeover = memory.cert, memory.key, takeover
	}
	if maps.EqualFunc(stored.data, memory.data, bytes.Equal) && stored.takeover.Equal(memory.takeover) {
		return memory, nil
	}
	return stored, nil
}

// create stores an authority. Another replica may have been faster: then its root is the one.
func (k *keeper) create(ctx context.Context, memory, a *authority) (*authority, error) {
	_, err := k.client.CoreV1().Secrets(k.namespace).Create(ctx, secretOf(a, k.namespace), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		stored, err := k.stored(ctx)
		switch {
		case err != nil:
			return memory, err
		case stored == nil:
			return memory, fmt.Errorf("RootPending: the Secret %s comes and goes", rootSecret)
		case memory != nil:
			return k.follow(memory, stored)
		}
		return stored, nil
	}
	if err != nil {
		return memory, fmt.Errorf("RootPending: create secret %s/%s: %w", k.namespace, rootSecret, err)
	}
	k.log.Info("root secret created", "root", trust.Fingerprint(a.cert))
	return a, nil
}

// stored reads the Secret past every cache; nil means that there is none.
func (k *keeper) stored(ctx context.Context) (*authority, error) {
	secret, err := k.client.CoreV1().Secrets(k.namespace).Get(ctx, rootSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &unread{fmt.Errorf("RootPending: get secret %s/%s: %w", k.namespace, rootSecret, err)}
	}
	a, err := parseAuthority(secret.Data, k.now())
	if err != nil {
		return nil, &unread{fmt.Errorf("RootUnreadable: secret %s/%s: %w", k.namespace, rootSecret, err)}
	}
	return a, nil
}

// unread says that the Secret could not be read, so that nothing is known of it.
type unread struct{ error }

func (u *unread) Unwrap() error { return u.error }

// checkNothingPublished refuses to mint while somebody trusts a root that is not there.
func (k *keeper) checkNothingPublished(ctx context.Context) error {
	published, err := k.client.CoreV1().ConfigMaps(k.namespace).Get(ctx, bundleName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("RootPending: get configmap %s/%s: %w", k.namespace, bundleName, err)
	}
	if holdsRoots(published) {
		return errRootMissing
	}
	return nil
}

// holdsRoots reports whether a bundle ConfigMap says anything; text that can't be parsed may be a root too.
func holdsRoots(cm *corev1.ConfigMap) bool { return cm.Data[bundleKey] != "" }
