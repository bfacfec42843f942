package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ended is the end of a container that had run this long.
func ended(ran time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 2, Reason: "Error", StartedAt: metav1.NewTime(now), FinishedAt: metav1.NewTime(now.Add(ran)),
	}}
}

// TestCrashLooping goes through the life of a container that crashes: from the second restart on the same is said of it all the
// time, whatever it does at the moment.
func TestCrashLooping(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	loop := podProblem{"CrashLoop", "container discovery keeps crashing with code 2 (Error); see kubectl logs --previous"}
	cases := map[string]struct {
		restarts    int32
		ready       bool
		state, last corev1.ContainerState
		want        podProblem
	}{
		"First":              {state: running},
		"FirstCrash":         {state: ended(time.Second)},
		"FirstRestart":       {restarts: 1, state: running, last: ended(time.Second)},
		"FirstWait":          {restarts: 1, state: waiting, last: ended(time.Second), want: loop},
		"SecondRestart":      {restarts: 2, state: running, last: ended(time.Second), want: loop},
		"ThirdCrash":         {restarts: 2, state: ended(time.Second), last: ended(time.Minute), want: loop},
		"SecondWait":         {restarts: 2, state: waiting, last: ended(time.Second), want: loop},
		"ThirdRestart":       {restarts: 3, state: running, last: ended(time.Minute), want: loop},
		"Recovered":          {restarts: 3, ready: true, state: running, last: ended(time.Minute)},
		"UnreadyAfterADay":   {restarts: 3, state: running, last: ended(24 * time.Hour)},
		"RestartedAfterADay": {restarts: 4, state: ended(24 * time.Hour), last: ended(time.Second)},
	}
	for name, c := range cases {
		got, _ := containerProblem(corev1.ContainerStatus{
			Name: "discovery", RestartCount: c.restarts, Ready: c.ready, State: c.state, LastTerminationState: c.last,
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
