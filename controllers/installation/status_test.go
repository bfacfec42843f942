package installation

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// healthy is the outcome of a mesh of one component that is complete.
func healthy() Outcome {
	return Outcome{
		Generation:  7,
		Plan:        Plan{Components: []Component{{Name: "pilot", Deployment: "istio-pilot", Image: "i:1", Enabled: true}}},
		Deployments: map[string]*appsv1.Deployment{"istio-pilot": deployment(1, 1)},
	}
}

func deployment(want, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		Spec:   appsv1.DeploymentSpec{Replicas: &want},
		Status: appsv1.DeploymentStatus{Replicas: want, UpdatedReplicas: want, ReadyReplicas: ready},
	}
}

var statusCases = map[string]struct {
	change  func(*Outcome)
	failure error
	want    string // lines "Type Status Reason"
	message string // of Ready
}{
	"Healthy": {
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready True Ready; Reconciled True Applied; SpecSupported True Supported",
		message: "the mesh can be used",
	},
	"Invalid": {
		change:  func(o *Outcome) { o.Invalid = "a and b contradict" },
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Invalid; Reconciled False Invalid; SpecSupported False Invalid",
		message: "a and b contradict",
	},
	"Conflict": {
		change:  func(o *Outcome) { o.Conflicts = []string{"ConfigMap x exists"} },
		want:    "CertificatesHealthy False NoRoot; NoConflicts False ForeignObjects; Ready False Conflict; Reconciled False Conflict; SpecSupported True Supported",
		message: "ConfigMap x exists",
	},
	"Failed": {
		failure: errors.New("apply Service a/b: forbidden"),
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Failed; Reconciled False Failed; SpecSupported True Supported",
		message: "apply Service a/b: forbidden",
	},
	"Waiting": {
		change:  func(o *Outcome) { o.Waiting = "istio-galley to become ready" },
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Progressing; Reconciled False Progressing; SpecSupported True Supported",
		message: "waiting for istio-galley to become ready",
	},
	"ImagePull": {
		change: func(o *Outcome) {
			o.Deployments["istio-pilot"] = deployment(1, 0)
			o.Problems = map[string]podProblem{"pilot": {Reason: "ImagePull", Message: "image i:1 cannot be pulled: not found"}}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Degraded; Reconciled True Applied; SpecSupported True Supported",
		message: "pilot: image i:1 cannot be pulled: not found",
	},
	"AddOnMissing": {
		change: func(o *Outcome) {
			o.Unsupported = []unsupported{{component: "kiali", field: "spec.kiali", message: "no Kiali"}}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready True Ready; Reconciled True Applied; SpecSupported False Unsupported",
		message: "the mesh can be used",
	},
	"ProtectionMissing": {
		change: func(o *Outcome) {
			o.Unsupported = []unsupported{{component: "threeScale", field: "spec.threeScale.enabled", message: "not checked", blocksReady: true}}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Unsupported; Reconciled True Applied; SpecSupported False Unsupported",
		message: "spec.threeScale.enabled: not checked",
	},
	"Removing": {
		change: func(o *Outcome) {
			o.Removal = &v1alpha1.RemovalStatus{Stage: removeRuntime, Remaining: 2, Blockers: []v1alpha1.Blocker{{Kind: "Pod", Namespace: "a", Name: "b", Reason: "it runs a sidecar"}}}
		},
		want:    "Ready False Removing; Reconciled False Removing",
		message: "removing RuntimeObjects: waiting for 2 objects, such as Pod a/b: it runs a sidecar",
	},
}

func TestStatusConditions(t *testing.T) {
	for name, c := range statusCases {
		t.Run(name, func(t *testing.T) {
			outcome := healthy()
			if c.change != nil {
				c.change(&outcome)
			}
			status := Status(v1alpha1.InstallationStatus{}, outcome, c.failure, now)
			if diff := cmp.Diff(c.want, conditions(status)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			for _, condition := range status.Conditions {
				if condition.Type == v1alpha1.ConditionReady && condition.Message != c.message {
					t.Errorf("Ready says %q, want %q", condition.Message, c.message)
				}
			}
			second := Status(status, outcome, c.failure, now.Add(time.Minute))
			if diff := cmp.Diff(status, second); diff != "" {
				t.Errorf("the same outcome gives another status (-first +second):\n%s", diff)
			}
		})
	}
}

func conditions(status v1alpha1.InstallationStatus) string {
	var lines []string
	for _, c := range status.Conditions {
		lines = append(lines, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
	}
	return strings.Join(lines, "; ")
}

// TestStatusKeepsFieldsNotObserved: an API server that refuses a call does not take the mesh down.
func TestStatusKeepsFieldsNotObserved(t *testing.T) {
	out := healthy()
	out.Observed = true
	first := Status(v1alpha1.InstallationStatus{}, out, nil, now)
	first.Endpoints = []v1alpha1.Endpoint{{Name: "g", URL: "http://203.0.113.7"}}
	first.Certificates = []v1alpha1.CertificateStatus{{Name: "root", NotAfter: metav1.NewTime(now.Add(365 * 24 * time.Hour))}}
	unseen := Outcome{Generation: out.Generation, Plan: out.Plan}
	second := Status(first, unseen, errors.New("look up namespace istio-system: refused"), now)
	for _, s := range []*v1alpha1.InstallationStatus{&first, &second} {
		s.Conditions = nil
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("before and after a failed look (-before +after):\n%s", diff)
	}
	out.Deployments = nil
	if gone := Status(first, out, nil, now); gone.Components[0].State != v1alpha1.StateProgressing || gone.Endpoints != nil {
		t.Errorf("of a mesh that is gone: %v %v", gone.Components, gone.Endpoints)
	}
}

func TestCertificatesHealthy(t *testing.T) {
	at := func(d time.Duration) v1alpha1.CertificateStatus {
		return v1alpha1.CertificateStatus{NotAfter: metav1.NewTime(now.Add(d))}
	}
	cases := map[string]struct {
		certificates []v1alpha1.CertificateStatus
		want         string
	}{
		"None":        {want: "NoRoot"},
		"Valid":       {certificates: []v1alpha1.CertificateStatus{at(365 * 24 * time.Hour)}, want: "Valid"},
		"ExpiresSoon": {certificates: []v1alpha1.CertificateStatus{at(24 * time.Hour)}, want: "ExpiresSoon"},
		"Expired":     {certificates: []v1alpha1.CertificateStatus{at(-time.Hour)}, want: "Expired"},
		"NewerSaves":  {certificates: []v1alpha1.CertificateStatus{at(-time.Hour), at(365 * 24 * time.Hour)}, want: "Valid"},
	}
	for name, c := range cases {
		if got := certificatesHealthy(c.certificates, now).Reason; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPodProblems(t *testing.T) {
	waiting := func(reason, message string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{owner.LabelComponent: "pilot"}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "discovery", Image: "r/i:1",
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}},
			}}},
		}
	}
	cases := map[string]struct {
		pod  *corev1.Pod
		want podProblem
	}{
		"Starting": {pod: waiting("ContainerCreating", "")},
		"Pull":     {pod: waiting("ErrImagePull", "not found"), want: podProblem{"ImagePull", "image r/i:1 cannot be pulled: not found"}},
		"BackOffSaysTheSame": {
			pod:  waiting("ImagePullBackOff", `Back-off pulling image "r/i:1": ErrImagePull: not found`),
			want: podProblem{"ImagePull", "image r/i:1 cannot be pulled: not found"},
		},
		"Crash": {
			pod:  waiting("CrashLoopBackOff", "back-off 10s restarting"),
			want: podProblem{"CrashLoop", "container discovery keeps ending with code 2 (Error); look at kubectl logs --previous"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, podProblems([]*corev1.Pod{c.pod})["pilot"]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEventsForChanges(t *testing.T) {
	first := Status(v1alpha1.InstallationStatus{}, healthy(), nil, now)
	if events := Events(first, first); len(events) != 0 {
		t.Errorf("nothing changed, but: %v", events)
	}
	restored := apply.Change{Ref: apply.Ref{Kind: "Service", Namespace: "n", Name: "s"}, Action: apply.Restored, By: "kubectl-edit"}
	got := append(Events(v1alpha1.InstallationStatus{}, first), changeEvents(Outcome{Changes: []apply.Change{restored}})...)
	want := []Event{
		{"Normal", "CertificatesHealthyNoRoot", "CertificatesHealthy is False: citadel has not published the roots of trust yet"},
		{"Normal", "ReadyReady", "Ready is True: the mesh can be used"},
		{"Normal", "ComponentReady", "pilot is Ready: all pods are ready"},
		{"Normal", "Restored", "restored Service n/s, which kubectl-edit had changed"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
