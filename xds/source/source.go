// Package source is the first stage of pilot: it watches the API server and hands over everything as one mesh.Inputs, again
// whenever something has changed. It is the only stage that knows a client.
//
//	informers ──▶ dirty set ──▶ debounce ──mesh.Inputs──▶ Publish
//
// Nothing is handed over before every watch has its first list: half a mesh looks to Envoy like a mesh whose other half
// was deleted. A kind of Istio's whose definition is not installed counts as empty and is requested again every few seconds.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/internal/debounce"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// Options are the clients of a Source and its callback.
type Options struct {
	Kubernetes    kubernetes.Interface
	Dynamic       dynamic.Interface
	MeshNamespace string
	Logger        *slog.Logger
	// Event is called with every change that a watch reports: the resource, and add, update or delete. nil: nobody counts them.
	Event func(resource, event string)
	// Publish is called from one goroutine, with objects that must not be changed. While it works, changes gather.
	Publish func(mesh.Inputs)
}

// Clients returns the clients for Options.
func Clients(config *rest.Config) (kubernetes.Interface, dynamic.Interface, error) {
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make client: %w", err)
	}
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make dynamic client: %w", err)
	}
	return k, d, nil
}

// Source watches the API server.
type Source struct {
	o     Options
	dirty *dirtySet
	feeds []feed
	in    mesh.Inputs // the last handed over; used by Run's goroutine only
}

// pause follows each rebuild. A storm of changes takes half a core at most.
var pause = debounce.Pause{Factor: 1, Shortest: 10 * time.Millisecond, Longest: 500 * time.Millisecond}

// feed is one watched resource: what it puts into the inputs, and whether its first list has arrived.
type feed interface {
	name() string
	run(context.Context)
	synced() bool
	fill(in *mesh.Inputs, changed bool)
}

// New returns a Source. It starts nothing.
func New(o Options) *Source {
	if o.Event == nil {
		o.Event = func(string, string) {}
	}
	s := &Source{o: o, dirty: newDirtySet()}
	s.feeds = typedFeeds(o, s.dirty.mark)
	for _, kind := range istioconfig.EnforcedKinds() {
		s.feeds = append(s.feeds, newConfigFeed(o, kind, s.dirty.mark))
	}
	return s
}

// Run watches until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range s.feeds {
		group.Go(func() error {
			f.run(ctx)
			return nil
		})
	}
	group.Go(func() error {
		debounce.Run(ctx, s.dirty.signal, pause, s.publish)
		return nil
	})
	return group.Wait()
}

// CheckReady tells which first list is still missing.
func (s *Source) CheckReady() error {
	var missing []error
	for _, f := range s.feeds {
		if !f.synced() {
			missing = append(missing, fmt.Errorf("waiting for the list of %s", f.name()))
		}
	}
	return errors.Join(missing...)
}

// publish hands over what there is now. Only what changed is looked at.
func (s *Source) publish() {
	if s.CheckReady() != nil {
		return // the feed that completes the picture marks itself
	}
	start, changed := time.Now(), s.dirty.take()
	if len(changed) == 0 {
		return
	}
	for _, f := range s.feeds {
		f.fill(&s.in, changed[f.name()])
	}
	s.in.MeshNamespace = s.o.MeshNamespace
	s.o.Publish(s.in)
	s.o.Logger.Debug("configuration published", "changed", changed.names(), "took", time.Since(start))
}
