package injector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"

	"github.com/mesh-operator/mesh-operator/internal/admission"
	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// Options are what the webhook needs to run.
type Options struct {
	Address    string // of the webhook, host:port
	ConfigFile string
	ValuesFile string
	Monitoring monitoring.Flags
	Identity   certclient.Options // of the serving certificate
	Client     metadata.Interface // for the labels of namespaces, and for pods with warnings
	Events     corev1client.EventsGetter
	Logger     *slog.Logger
}

// Paths of the webhook. At askedPath the API server has seen the label of a namespace that asks for sidecars.
const (
	injectPath = "/inject"
	askedPath  = "/inject/namespace"
)

// Run serves the webhook at its paths until ctx ends. It is ready with a configuration, the namespaces and a certificate.
func Run(ctx context.Context, o Options) error {
	files := &source{configFile: o.ConfigFile, valuesFile: o.ValuesFile, log: o.Logger}
	if err := files.load(); err != nil {
		return err
	}
	o.Identity.Logger = o.Logger
	identity := certclient.New(o.Identity)
	known := newNamespaces(o.Client)
	monitor := monitoring.New("istio-sidecar-injector", o.Monitoring, o.Logger)
	hook := newWebhook(files.settings, known.labels, o.Logger, monitor.Registry)
	monitor.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "injector_configuration_rejected", Help: "1 while the newest configuration cannot be used.",
	}, func() float64 {
		if files.failing.Load() {
			return 1
		}
		return 0
	}))
	monitor.SetReady(func() error {
		if !known.synced() {
			return errors.New("waiting for the list of namespaces")
		}
		return identity.CheckReady()
	})
	mux := http.NewServeMux()
	mux.Handle(injectPath, withCaller(admission.NewHandler(hook.review, o.Logger)))
	mux.Handle(askedPath, withCaller(admission.NewHandler(hook.reviewAsked, o.Logger)))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return identity.Run(ctx) })
	group.Go(func() error { return known.run(ctx) })
	group.Go(func() error { return newWarningReporter(o.Client, o.Events, o.Logger).run(ctx) })
	group.Go(func() error { return files.follow(ctx) })
	group.Go(func() error { return monitor.Run(ctx) })
	group.Go(func() error { return admission.Serve(ctx, o.Address, identity.ServerTLS("http/1.1"), mux) })
	return group.Wait()
}

// webhook answers admission reviews of pods.
type webhook struct {
	settings func() *Settings
	labels   func(ctx context.Context, namespace string) (map[string]string, error)
	log      *slog.Logger
	metrics  *metrics
}

func newWebhook(settings func() *Settings, labels func(context.Context, string) (map[string]string, error), log *slog.Logger, registry prometheus.Registerer) *webhook {
	return &webhook{settings: settings, labels: labels, log: log, metrics: newMetrics(registry)}
}

func (w *webhook) review(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return w.inject(ctx, request, false)
}

// reviewAsked believes the API server that the namespace asks. The watch here may be behind, and a pod that is made right
// after its namespace was labelled would start, and stay, without a sidecar.
func (w *webhook) reviewAsked(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return w.inject(ctx, request, true)
}

func (w *webhook) inject(ctx context.Context, request *admissionv1.AdmissionRequest, asked bool) *admissionv1.AdmissionResponse {
	if request.Kind.Group != "" || request.Kind.Kind != "Pod" || request.Operation != admissionv1.Create {
		return admission.Allow()
	}
	w.metrics.requests.Inc()
	labels, err := w.labels(ctx, request.Namespace)
	if err != nil {
		return w.fail(request, err)
	}
	if asked {
		labels = asking(labels)
	}
	result, err := w.settings().Inject(Request{Pod: request.Object.Raw, Namespace: request.Namespace, NamespaceLabels: labels})
	if err != nil {
		return w.fail(request, err)
	}
	return w.answer(request, result)
}

// asking returns a copy of a namespace's labels in which it asks for sidecars.
func asking(labels map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, labels)
	out[namespaceLabel] = "enabled"
	return out
}

func (w *webhook) fail(request *admissionv1.AdmissionRequest, err error) *admissionv1.AdmissionResponse {
	if refusal := new(Refusal); errors.As(err, &refusal) {
		w.metrics.failed.WithLabelValues("refused").Inc()
		return admission.Deny(http.StatusBadRequest, refusal.Reason)
	}
	if errors.Is(err, errTooMany) { // counted, not logged: an untrusted client could write any number of lines
		w.metrics.failed.WithLabelValues("limited").Inc()
		return admission.Deny(http.StatusTooManyRequests, fmt.Sprintf("inject sidecar: %v", err))
	}
	w.metrics.failed.WithLabelValues("error").Inc()
	w.log.Error("injection failed", "namespace", request.Namespace, "error", err)
	return admission.Deny(http.StatusInternalServerError, fmt.Sprintf("inject sidecar: %v", err))
}

func (w *webhook) answer(request *admissionv1.AdmissionRequest, result Result) *admissionv1.AdmissionResponse {
	response := admission.Allow(result.Warnings...)
	response.AuditAnnotations = map[string]string{"decision": result.Decision.Rule + ": " + result.Decision.Reason}
	if !result.Decision.Inject {
		w.metrics.skipped.WithLabelValues(result.Decision.Rule).Inc()
		w.log.Debug("not injected", "namespace", request.Namespace, "pod", request.Name, "rule", result.Decision.Rule, "reason", result.Decision.Reason)
		return response
	}
	patch, err := json.Marshal(result.Patch)
	if err != nil {
		return w.fail(request, err)
	}
	w.metrics.succeeded.WithLabelValues(result.Decision.Rule).Inc()
	w.log.Debug("injected", "namespace", request.Namespace, "pod", request.Name, "rule", result.Decision.Rule, "reason", result.Decision.Reason)
	response.Patch, response.PatchType = patch, new(admissionv1.PatchTypeJSONPatch)
	return response
}
