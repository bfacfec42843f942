package installation

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/admission"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/internal/istiocrd"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Options configure the operator.
type Options struct {
	Config      *rest.Config
	LeaderElect bool
	Monitoring  monitoring.Flags
	Images      desired.ImageDefaults
	// Namespace is that of the operator and the Installation; empty: istio-operator. OLM installs where its user wants.
	Namespace string
	// Catalog is the table of components; nil: that of this version.
	Catalog desired.Catalog
	Logger  *slog.Logger
}

// Run runs the operator until ctx ends.
func Run(ctx context.Context, o Options) error {
	ctrl.SetLogger(logr.FromSlogHandler(o.Logger.Handler()))
	o.Config = rest.CopyConfig(o.Config)
	o.Namespace = cmp.Or(o.Namespace, owner.OperatorNamespace)
	if o.Catalog == nil {
		o.Catalog = desired.Components()
	}
	o.Config.WarningHandler = rest.NoWarnings{} // warnings for users are in status.warnings
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(o.Config)
	if err != nil {
		return fmt.Errorf("make metadata client: %w", err)
	}
	kube, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return fmt.Errorf("make API client: %w", err)
	}
	// Not the manager's client, which would cache every kind that it reads.
	direct, err := client.New(o.Config, client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("make API client: %w", err)
	}
	reconciler := &Reconciler{
		Client: direct, Watch: watch.New(metadataClient, kube, o.Logger), Events: newRecorder(ctx, kube, mgr.GetScheme()),
		Log: o.Logger, Images: o.Images, Catalog: o.Catalog, Namespace: o.Namespace, CRDs: istiocrd.CRDs,
	}
	if err := reconciler.Register(mgr); err != nil {
		return err
	}
	if err := mgr.Add(admission.NewPolicies(direct, o.Namespace, o.Catalog.ReservedNames(), o.Logger)); err != nil {
		return fmt.Errorf("add admission policies: %w", err)
	}
	if err := mgr.Add(newMonitoring(o)); err != nil {
		return fmt.Errorf("add monitoring: %w", err)
	}
	o.Logger.Info("Watching resource istio.openshift.com/v1alpha1, kind Installation, namespace " + o.Namespace + ", resyncPeriod 0")
	return mgr.Start(ctx)
}

// newRecorder records Events of the older API, which keeps different messages of one reason apart.
func newRecorder(ctx context.Context, kube kubernetes.Interface, scheme *runtime.Scheme) record.EventRecorder {
	// The defaults drop everything after 25 Events about one object, which an installation alone needs.
	options := record.CorrelatorOptions{BurstSize: 200, QPS: 1, MaxEvents: 50}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(options))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme, corev1.EventSource{Component: "istio-operator"})
}

func newManager(o Options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	never := time.Duration(0)
	skip := true
	mgr, err := ctrl.NewManager(o.Config, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"}, // internal/monitoring serves them
		Cache: cache.Options{
			SyncPeriod:        &never,
			DefaultNamespaces: map[string]cache.Config{o.Namespace: {}},
		},
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              "istio-operator",
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		Controller:                    config.Controller{SkipNameValidation: &skip},
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return mgr, nil
}

// newMonitoring serves controller-runtime's metrics beside our own. A replica that does not lead is ready too.
func newMonitoring(o Options) *monitor {
	server := monitoring.New("istio-operator", o.Monitoring, o.Logger)
	if registry, ok := metrics.Registry.(*prometheus.Registry); ok {
		server.Registry = registry
	}
	server.SetReady(func() error { return nil })
	return &monitor{server}
}

// monitor runs the monitoring server whether or not this replica leads.
type monitor struct{ *monitoring.Server }

// Start runs the server until ctx ends.
func (m *monitor) Start(ctx context.Context) error { return m.Run(ctx) }

// NeedLeaderElection is false.
func (m *monitor) NeedLeaderElection() bool { return false }
