package injector

import (
	"slices"
	"testing"

	"istio.io/api/annotation"
	"istio.io/api/label"
)

// TestEveryPodAnnotationOfIstioHasAnAnswer: an annotation that a new version of Istio's vocabulary defines for pods is to be
// obeyed, refused or explained, not ignored.
func TestEveryPodAnnotationOfIstioHasAnAnswer(t *testing.T) {
	for _, a := range annotation.AllResourceAnnotations() {
		if !slices.Contains(a.Resources, annotation.Pod) && !slices.Contains(a.Resources, annotation.Any) {
			continue
		}
		answers := 0
		for _, found := range []bool{obeyedAnnotations[a.Name] != nil, refusedAnnotations[a.Name] != "", ignoredAnnotations[a.Name] != ""} {
			if found {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("annotation %s has %d answers, want 1", a.Name, answers)
		}
	}
}

func TestEveryPodLabelOfIstioHasAnAnswer(t *testing.T) {
	for _, l := range label.AllResourceLabels() {
		if !slices.Contains(l.Resources, label.Pod) && !slices.Contains(l.Resources, label.Any) {
			continue
		}
		if slices.Contains(obeyedLabels, l.Name) == (ignoredLabels[l.Name] != "") {
			t.Errorf("label %s has no answer, or two", l.Name)
		}
	}
}
