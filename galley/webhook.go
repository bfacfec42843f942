// Package galley checks Istio's configuration when it is written: what the control plane cannot use, or does not support
// yet, is refused with the field, the reason and the way out, and an old spelling is answered with a warning that names the
// new one. The rules are internal/istioconfig's, the same that pilot decodes with, so what is admitted is translated.
//
// It looks at one object at a time and at nothing else: whether a host or a Secret exists changes without notice, and is
// pilot's to say in the object's status.
package galley

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/internal/admission"
	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/internal/listing"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// Options are what the webhook needs to run. It has no API client: an answer needs the object alone.
type Options struct {
	Address    string // of the webhook, host:port
	Monitoring monitoring.Flags
	Identity   certclient.Options // of the serving certificate
	Logger     *slog.Logger
}

// Run serves the webhook at /validate until ctx ends.
func Run(ctx context.Context, o Options) error {
	o.Identity.Logger = o.Logger
	identity := certclient.New(o.Identity)
	monitor := monitoring.New("istio-galley", o.Monitoring, o.Logger)
	monitor.SetReady(identity.CheckReady)
	mux := http.NewServeMux()
	mux.Handle("/validate", admission.NewHandler(newWebhook(o.Logger, monitor.Registry).review, o.Logger))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return identity.Run(ctx) })
	group.Go(func() error { return monitor.Run(ctx) })
	group.Go(func() error { return admission.Serve(ctx, o.Address, identity.ServerTLS("http/1.1"), mux) })
	return group.Wait()
}

// webhook answers admission reviews of Istio's kinds.
type webhook struct {
	log            *slog.Logger
	passed, failed *prometheus.CounterVec
}

func newWebhook(log *slog.Logger, registry prometheus.Registerer) *webhook {
	w := &webhook{
		log: log,
		passed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "galley_validation_passed", Help: "Objects that were admitted, by kind."}, []string{"kind"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "galley_validation_failed", Help: "Objects that were refused, by kind."}, []string{"kind"}),
	}
	registry.MustRegister(w.passed, w.failed)
	return w
}

func (w *webhook) review(_ context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if !needsValidation(request) {
		return admission.Allow()
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(request.Object.Raw, &u.Object); err != nil {
		return admission.Deny(http.StatusBadRequest, fmt.Sprintf("decode object: %v", err))
	}
	problems, warnings := validate(u)
	kind := kindLabel(request.Kind.Kind)
	if len(problems) == 0 {
		w.passed.WithLabelValues(kind).Inc()
		return admission.Allow(warnings...)
	}
	w.failed.WithLabelValues(kind).Inc()
	w.log.Info("refused", "kind", kind, "namespace", request.Namespace, "name", request.Name, "problems", len(problems), "first", problems[0].String())
	response := deny(problems)
	response.Warnings = admission.Warnings(warnings)
	return response
}

// kindLabel keeps untrusted clients from creating time series.
func kindLabel(kind string) string {
	if slices.Contains(istioconfig.Kinds(), istioconfig.Kind(kind)) {
		return kind
	}
	return "other"
}

// needsValidation reports whether the request writes a specification of a kind of ours. An object that is being deleted may only
// lose its finalizers, which an invalid one must be able to, and a status is pilot's.
func needsValidation(request *admissionv1.AdmissionRequest) bool {
	if request.SubResource != "" || request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return false
	}
	var object struct {
		Metadata struct {
			DeletionTimestamp *metav1.Time `json:"deletionTimestamp"`
		} `json:"metadata"`
	}
	if json.Unmarshal(request.Object.Raw, &object) == nil && object.Metadata.DeletionTimestamp != nil {
		return false
	}
	return true
}

// validate returns the reasons to refuse an object, and what to warn of.
func validate(u *unstructured.Unstructured) (problems []istioconfig.Problem, warnings []string) {
	object, err := istioconfig.Decode(u)
	if field := new(istioconfig.FieldError); errors.As(err, &field) {
		return []istioconfig.Problem{{Field: field.Field, Reason: field.Reason}}, nil
	} else if err != nil {
		return []istioconfig.Problem{{Field: "kind", Reason: err.Error()}}, nil
	}
	for _, r := range object.Rewrites {
		warnings = append(warnings, r.String())
	}
	for _, p := range istioconfig.Warnings(object) {
		warnings = append(warnings, p.String())
	}
	return istioconfig.Validate(object), warnings
}

// maxProblems is how many problems a refusal spells out; more would not be read.
const maxProblems = 10

func deny(problems []istioconfig.Problem) *admissionv1.AdmissionResponse {
	var text []string
	details := &metav1.StatusDetails{}
	for i, p := range problems {
		if text = append(text, p.String()); i >= maxProblems {
			continue
		}
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: p.Field, Message: p.Reason})
	}
	response := admission.Deny(http.StatusUnprocessableEntity, strings.Join(listing.First(text, maxProblems), "; "))
	response.Result.Reason = metav1.StatusReasonInvalid
	response.Result.Details = details
	return response
}
