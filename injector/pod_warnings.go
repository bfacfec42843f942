package injector

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// A warning in an admission response reaches the client that creates the pod, which is a controller that shows it to nobody.
// So warnings are also written on the pod, and an Event of the pod's controller repeats them.
const (
	warningsAnnotation = "istio.openshift.com/injection-warnings" // one warning a line
	warningsLabel      = "istio.openshift.com/injection-warnings" // "true" where the annotation is; selects what is watched
)

// recordWarnings writes the warnings on the pod.
func (s *sidecar) recordWarnings(warnings []string) {
	if len(warnings) == 0 {
		return
	}
	s.force(map[string]string{warningsAnnotation: strings.Join(warnings, "\n")})
	if s.pod.Labels == nil {
		s.pod.Labels = map[string]string{}
	}
	s.pod.Labels[warningsLabel] = "true"
}

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

const (
	// eventLife is how long the API server keeps an Event by default; the warnings of an older pod have been reported.
	eventLife       = time.Hour
	maxEventMessage = 1024 // the API server's limit
	eventTimeout    = 10 * time.Second
)

// warningReporter reports the warnings of existing pods. It does not act on admission reviews: every client that reaches the
// webhook can send one, and would write Events into any namespace.
type warningReporter struct {
	events  corev1client.EventsGetter
	factory metadatainformer.SharedInformerFactory
	log     *slog.Logger
}

func newWarningReporter(client metadata.Interface, events corev1client.EventsGetter, log *slog.Logger) *warningReporter {
	selectLabel := func(o *metav1.ListOptions) { o.LabelSelector = warningsLabel + "=true" }
	return &warningReporter{events, metadatainformer.NewFilteredSharedInformerFactory(client, 0, metav1.NamespaceAll, selectLabel), log}
}

// run watches until ctx ends.
func (r *warningReporter) run(ctx context.Context) error {
	handler := cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		if pod, ok := object.(*metav1.PartialObjectMetadata); ok {
			r.report(ctx, pod)
		}
	}}
	if _, err := r.factory.ForResource(podResource).Informer().AddEventHandler(handler); err != nil {
		return fmt.Errorf("watch pods with warnings: %w", err)
	}
	r.factory.Start(ctx.Done())
	<-ctx.Done()
	r.factory.Shutdown()
	return nil
}

// report creates the Event of a pod's warnings. Its name follows from the controller and the warnings, so the pods of one
// controller, and the replicas of the injector, create it once.
func (r *warningReporter) report(ctx context.Context, pod *metav1.PartialObjectMetadata) {
	event := warningEvent(pod, time.Now())
	if event == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	_, err := r.events.Events(pod.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) && ctx.Err() == nil {
		r.log.Warn("create Event of injection warnings failed", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
	}
}

// warningEvent returns the Event for a pod's controller, nil if there is nothing to report.
func warningEvent(pod *metav1.PartialObjectMetadata, now time.Time) *corev1.Event {
	controller := metav1.GetControllerOfNoCopy(pod)
	message := pod.Annotations[warningsAnnotation]
	if controller == nil || message == "" || now.Sub(pod.CreationTimestamp.Time) > eventLife {
		return nil
	}
	message = strings.ToValidUTF8(message[:min(len(message), maxEventMessage)], "")
	hash := sha256.Sum256([]byte(string(controller.UID) + "\n" + message))
	name := strings.TrimRight(controller.Name[:min(len(controller.Name), 200)], "-.")
	at := metav1.NewTime(now)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: fmt.Sprintf("%s.%x", name, hash[:8])},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: controller.APIVersion, Kind: controller.Kind, Namespace: pod.Namespace, Name: controller.Name, UID: controller.UID,
		},
		Type: corev1.EventTypeWarning, Reason: "InjectionWarning", Message: message,
		Source:         corev1.EventSource{Component: "istio-sidecar-injector"},
		FirstTimestamp: at, LastTimestamp: at, Count: 1,
	}
}
