package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/dataplane"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// healthy is the outcome of a mesh of one component that is complete.
func healthy() Outcome {
	return Outcome{
		Generation: 7,
		Plan:       desired.Plan{Components: []desired.Component{{Name: "pilot", Kind: "Deployment", Workload: "istio-pilot", Image: "i:1", Enabled: true}}},
		Workloads:  map[string]Workload{"pilot": pods(1, 1)},
	}
}

func pods(want, ready int32) Workload {
	return Workload{Desired: want, Updated: want, Ready: ready, Current: want == ready}
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
			o.Workloads["pilot"] = pods(1, 0)
			o.Pods = []*corev1.Pod{waitingPod("ErrImagePull", "not found")}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Degraded; Reconciled True Applied; SpecSupported True Supported",
		message: "pilot: image r/i:1 cannot be pulled: not found",
	},
	"PilotDisabled": {
		change: func(o *Outcome) {
			o.Plan.Components[0].Enabled, o.Plan.Components[0].Required = false, "proxies get no configuration"
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Disabled; Reconciled True Applied; SpecSupported True Supported",
		message: "pilot is disabled or has no pods, as spec asks, and without it proxies get no configuration: the mesh cannot be used",
	},
	"ScaledToZeroByHand": {
		change:  func(o *Outcome) { o.Workloads["pilot"] = pods(0, 0) },
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Progressing; Reconciled True Applied; SpecSupported True Supported",
		message: "pilot: its Deployment asks for no pods, and spec does not set replicas to 0",
	},
	"NoNodeForDaemonSet": {
		change: func(o *Outcome) {
			o.Workloads["pilot"], o.Plan.Components[0].Kind = pods(0, 0), "DaemonSet"
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready True Ready; Reconciled True Applied; SpecSupported True Supported",
		message: "the mesh can be used",
	},
	"ScaledToZeroBySpec": {
		change: func(o *Outcome) {
			zero := int32(0)
			o.Workloads["pilot"], o.Plan.Components[0].Replicas = pods(0, 0), &zero
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready True Ready; Reconciled True Applied; SpecSupported True Supported",
		message: "the mesh can be used",
	},
	"AddOnMissing": {
		change: func(o *Outcome) {
			o.Unsupported = []desired.Unsupported{{Component: "kiali", Field: "spec.kiali", Message: "no Kiali"}}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready True Ready; Reconciled True Applied; SpecSupported False Unsupported",
		message: "the mesh can be used",
	},
	"ProtectionMissing": {
		change: func(o *Outcome) {
			o.Unsupported = []desired.Unsupported{{Component: "threeScale", Field: "spec.threeScale.enabled", Message: "not checked", BlocksReady: true}}
		},
		want:    "CertificatesHealthy False NoRoot; NoConflicts True NoConflicts; Ready False Unsupported; Reconciled True Applied; SpecSupported False Unsupported",
		message: "spec.threeScale.enabled: not checked",
	},
	"Removing": {
		change: func(o *Outcome) {
			o.Removal = &v1alpha1.RemovalStatus{Stage: "RuntimeObjects", Remaining: 2, Blockers: []v1alpha1.Blocker{{Kind: "Pod", Namespace: "a", Name: "b", Reason: "it runs a sidecar"}}}
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
	out.Workloads = nil
	if gone := Status(first, out, nil, now); gone.Components[0].State != v1alpha1.StateProgressing || gone.Endpoints != nil {
		t.Errorf("of a mesh that is gone: %v %v", gone.Components, gone.Endpoints)
	}
}

// waitingPod is a pod of pilot whose container waits for a reason.
func waitingPod(reason, message string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{owner.LabelComponent: "pilot"}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "discovery", Image: "r/i:1",
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}},
		}}},
	}
}

func TestPodProblems(t *testing.T) {
	cases := map[string]struct {
		pod  *corev1.Pod
		want podProblem
	}{
		"Starting": {pod: waitingPod("ContainerCreating", "")},
		"Pull":     {pod: waitingPod("ErrImagePull", "not found"), want: podProblem{"ImagePull", "image r/i:1 cannot be pulled: not found"}},
		"BackOffSaysTheSame": {
			pod:  waitingPod("ImagePullBackOff", `Back-off pulling image "r/i:1": ErrImagePull: not found`),
			want: podProblem{"ImagePull", "image r/i:1 cannot be pulled: not found"},
		},
		"Crash": {
			pod:  waitingPod("CrashLoopBackOff", "back-off 10s restarting"),
			want: podProblem{"CrashLoop", "container discovery keeps crashing with code 2 (Error); see kubectl logs --previous"},
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
	got := append(Events(v1alpha1.InstallationStatus{}, first), ChangeEvents(Outcome{Changes: []apply.Change{restored}})...)
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

// TestRemovalMessageListsSidecarPods because nobody can read the status afterwards.
func TestRemovalMessageListsSidecarPods(t *testing.T) {
	out := Outcome{Removal: &v1alpha1.RemovalStatus{Stage: "Workloads"}, Sidecars: []string{"a/1", "a/2", "a/3", "b/4", "b/5", "b/6", "c/7"}}
	for _, failure := range []error{nil, errors.New("delete Service: refused")} {
		message := Status(v1alpha1.InstallationStatus{}, out, failure, now).Conditions[0].Message
		if want := "; 7 pods still run a sidecar: a/1, a/2, a/3, b/4, b/5, and 2 more; "; !strings.Contains(message, want) || !strings.Contains(message, "kubectl rollout restart") {
			t.Errorf("Ready says %q, want %q in it", message, want)
		}
	}
}

func TestDataPlaneStatus(t *testing.T) {
	old := &v1alpha1.DataPlaneStatus{Proxies: 1}
	counts := &dataplane.Counts{Sidecars: map[string]int{"": 1, "now": 5, "before": 2}, Gateways: 2, Synced: 9}
	cases := map[string]struct {
		result dataplane.Result
		want   *v1alpha1.DataPlaneStatus
	}{
		"NotPolled": {want: old},
		"NoAnswer":  {result: dataplane.Result{Polled: true}},
		"Answer":    {result: dataplane.Result{Polled: true, Proxies: counts}, want: &v1alpha1.DataPlaneStatus{Proxies: 10, Outdated: 3, NotSynced: 1}},
		"TwoAtOnce": {result: dataplane.Result{Polled: true, Proxies: &dataplane.Counts{Gateways: 1, Synced: 2}}, want: &v1alpha1.DataPlaneStatus{Proxies: 1}},
	}
	for name, c := range cases {
		out := Outcome{Plan: desired.Plan{SidecarVersion: "now"}, DataPlane: c.result}
		if diff := cmp.Diff(c.want, dataPlaneStatus(old, out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestWorkloadOf reads every kind of workload: what it counts, and when it is current.
func TestWorkloadOf(t *testing.T) {
	cases := map[string]struct {
		object string
		want   Workload
	}{
		"Deployment": {`{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [{type: Available, status: "True"}, {type: Progressing, status: "True", reason: NewReplicaSetAvailable}]}}`,
			Workload{Desired: 2, Updated: 2, Ready: 2, Current: true}},
		"DeploymentFailed": {`{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 1, progressDeadlineSeconds: 600}, status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: too slow}]}}`,
			Workload{Desired: 1, Updated: 1, Failed: "Progress deadline exceeded"}},
		"StatefulSetStarting": {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1}}`,
			Workload{Desired: 2, Updated: 1}},
		"StatefulSet": {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, currentReplicas: 1, currentRevision: a, updateRevision: a}}`,
			Workload{Desired: 1, Updated: 1, Ready: 1, Current: true}},
		"DaemonSet": {`{apiVersion: apps/v1, kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 3, numberReady: 3}}`,
			Workload{Desired: 3, Updated: 3, Ready: 3, Current: true}},
		"JobFailed": {`{apiVersion: batch/v1, kind: Job, spec: {completions: 1}, status: {startTime: "2030-01-01T00:00:00Z", failed: 1, conditions: [{type: Failed, status: "True", message: no luck}]}}`,
			Workload{Desired: 1, Failed: "Job Failed. failed: 1/1"}},
		"JobDone": {`{apiVersion: batch/v1, kind: Job, spec: {completions: 1}, status: {startTime: "2030-01-01T00:00:00Z", succeeded: 1, conditions: [{type: Complete, status: "True"}]}}`,
			Workload{Desired: 1, Updated: 1, Ready: 1, Current: true}},
	}
	for name, c := range cases {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(c.object), object); err != nil {
			t.Fatal(err)
		}
		got, err := WorkloadOf(object)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
