package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

func runs(image, id string) *corev1.Pod {
	return &corev1.Pod{
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", ImageID: id}}},
	}
}

func TestUsedImages(t *testing.T) {
	plan := desired.Plan{Components: []desired.Component{
		{Name: "pilot", Image: "r/op:1", Enabled: true}, {Name: "citadel", Image: "r/op:1", Enabled: true},
		{Name: "sidecarInjector", Image: "r/op:1", SidecarImage: "r/proxy:1", Enabled: true},
		{Name: "galley", Image: "r/old:1"},
	}}
	cases := map[string]struct {
		pods []*corev1.Pod
		want []string
	}{
		"NoPods":      {want: []string{"r/op:1", "r/proxy:1"}},
		"Starting":    {pods: []*corev1.Pod{runs("r/op:1", "")}, want: []string{"r/op:1", "r/proxy:1"}},
		"Loaded":      {pods: []*corev1.Pod{runs("r/op:1", "sha256:12")}, want: []string{"r/op:1", "r/proxy:1"}},
		"Imported":    {pods: []*corev1.Pod{runs("r/op:1", "docker.io/library/import-2030-01-01@sha256:12")}, want: []string{"r/op:1", "r/proxy:1"}},
		"Mirrored":    {pods: []*corev1.Pod{runs("r/op:1", "mirror:5000/r/op@sha256:12")}, want: []string{"mirror:5000/r/op@sha256:12", "r/proxy:1"}},
		"Digest":      {pods: []*corev1.Pod{runs("r/op:1", "r/op@sha256:12"), runs("r/op:1", "r/op@sha256:12")}, want: []string{"r/op@sha256:12", "r/proxy:1"}},
		"WithScheme":  {pods: []*corev1.Pod{runs("r/op:1", "docker-pullable://r/op@sha256:12")}, want: []string{"r/op@sha256:12", "r/proxy:1"}},
		"NodesDiffer": {pods: []*corev1.Pod{runs("r/op:1", "r/op@sha256:34"), runs("r/op:1", "r/op@sha256:12")}, want: []string{"r/op@sha256:12", "r/op@sha256:34", "r/proxy:1"}},
		"Gateway":     {pods: []*corev1.Pod{runs("r/proxy:1", "r/proxy@sha256:56")}, want: []string{"r/op:1", "r/proxy@sha256:56"}},
		"OldPod":      {pods: []*corev1.Pod{runs("r/op:0", "r/op@sha256:00")}, want: []string{"r/op:1", "r/proxy:1"}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, usedImages(plan, c.pods)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
