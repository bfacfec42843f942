package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// podProblem is the reason why a pod does not run.
type podProblem struct {
	Reason  string
	Message string
}

// podProblems returns one problem per component: of several the one whose message sorts first, so that the status does not
// change while the problems stay.
func podProblems(pods []*corev1.Pod) map[string]podProblem {
	out := map[string]podProblem{}
	for _, pod := range slices.SortedFunc(slices.Values(pods), func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) }) {
		if pod.DeletionTimestamp != nil {
			continue
		}
		problem, ok := problemOf(pod)
		component := pod.Labels[owner.LabelComponent]
		if before, seen := out[component]; ok && (!seen || problem.Message < before.Message) {
			out[component] = problem
		}
	}
	return out
}

func problemOf(pod *corev1.Pod) (podProblem, bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if problem, ok := containerProblem(status); ok {
			return problem, true
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return podProblem{Reason: "Unschedulable", Message: "the pod cannot be scheduled: " + condition.Message}, true
		}
	}
	return podProblem{}, false
}

func containerProblem(status corev1.ContainerStatus) (podProblem, bool) {
	if crashLooping(status) {
		return podProblem{Reason: "CrashLoop", Message: fmt.Sprintf("container %s keeps crashing%s; see kubectl logs --previous",
			status.Name, terminationDetail(status))}, true
	}
	waiting := status.State.Waiting
	if waiting == nil {
		return podProblem{}, false
	}
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError":
		return podProblem{Reason: "ImagePull", Message: fmt.Sprintf("image %s cannot be pulled: %s", status.Image, pullMessage(waiting.Message))}, true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return podProblem{Reason: waiting.Reason, Message: fmt.Sprintf("container %s cannot start: %s", status.Name, waiting.Message)}, true
	}
	return podProblem{}, false
}

// backOffReset is how long a container has to run for the kubelet to restart it without delay.
const backOffReset = 10 * time.Minute

// crashLooping reports a container that is waiting for a restart (CrashLoopBackOff) or running between two crashes. The first
// restart comes at once, and may be the last.
func crashLooping(status corev1.ContainerStatus) bool {
	if status.State.Waiting != nil {
		return status.State.Waiting.Reason == "CrashLoopBackOff"
	}
	last := lastTermination(status)
	return !status.Ready && status.RestartCount >= 2 && last != nil && last.FinishedAt.Sub(last.StartedAt.Time) < backOffReset
}

// lastTermination is how the container ended last, nil when it never did.
func lastTermination(status corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if status.State.Terminated != nil {
		return status.State.Terminated
	}
	return status.LastTerminationState.Terminated
}

// pullMessage removes the words that the kubelet puts before the reason only while it waits between two attempts; with them
// the message would change every few seconds.
func pullMessage(message string) string {
	if rest, ok := strings.CutPrefix(message, `Back-off pulling image "`); ok {
		if _, reason, found := strings.Cut(rest, `": `); found {
			message = reason
		}
	}
	return strings.TrimPrefix(message, "ErrImagePull: ")
}

func terminationDetail(status corev1.ContainerStatus) string {
	if last := lastTermination(status); last != nil {
		return fmt.Sprintf(" with code %d (%s)", last.ExitCode, last.Reason)
	}
	return ""
}
