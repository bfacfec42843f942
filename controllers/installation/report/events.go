package report

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// Event is one line of kubectl describe.
type Event struct {
	Type, Reason, Message string
}

// Events returns an Event for every change between two statuses.
func Events(old, now v1alpha1.InstallationStatus) []Event {
	var events []Event
	events = append(events, conditionEvents(old.Conditions, now.Conditions)...)
	events = append(events, componentEvents(old.Components, now.Components)...)
	events = append(events, warningEvents(old.Warnings, now.Warnings)...)
	if stage := removalStage(now); stage != "" && stage != removalStage(old) {
		events = append(events, Event{corev1.EventTypeNormal, "Removing", removalMessage(now.Removal)})
	}
	return events
}

// ChangeEvents returns an Event for every object that was restored or deleted.
func ChangeEvents(out Outcome) []Event {
	var events []Event
	for _, change := range out.Changes {
		if change.Action == apply.Restored {
			events = append(events, Event{corev1.EventTypeNormal, "Restored", restoredMessage(change)})
		}
	}
	for _, ref := range out.Pruned {
		events = append(events, Event{corev1.EventTypeNormal, "Pruned", "deleted " + ref.String() + ", which spec no longer asks for"})
	}
	return events
}

func restoredMessage(change apply.Change) string {
	if change.By == "" {
		return "restored " + change.Ref.String() + ", which had been deleted or changed"
	}
	return fmt.Sprintf("restored %s, which %s had changed", change.Ref, change.By)
}

func removalStage(status v1alpha1.InstallationStatus) string {
	if status.Removal == nil {
		return ""
	}
	return status.Removal.Stage
}

// conditionEvents is about conditions whose status or reason changed; a message alone may change often.
func conditionEvents(old, now []metav1.Condition) []Event {
	var events []Event
	for _, c := range now {
		before := meta.FindStatusCondition(old, c.Type)
		if before != nil && before.Status == c.Status && before.Reason == c.Reason {
			continue
		}
		if before == nil && c.Type != v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue {
			continue // a condition that was never False is no news
		}
		kind := corev1.EventTypeNormal
		if c.Status == metav1.ConditionFalse && c.Reason != "Progressing" && c.Reason != "NoRoot" && c.Reason != "Removing" {
			kind = corev1.EventTypeWarning
		}
		events = append(events, Event{kind, c.Type + c.Reason, c.Type + " is " + string(c.Status) + ": " + c.Message})
	}
	return events
}

func componentEvents(old, now []v1alpha1.ComponentStatus) []Event {
	before := map[string]v1alpha1.ComponentStatus{}
	for _, c := range old {
		before[c.Name] = c
	}
	var events []Event
	for _, c := range now {
		was := before[c.Name]
		if was.State == c.State && (was.Reason == c.Reason || c.State == v1alpha1.StateProgressing) {
			continue
		}
		kind := corev1.EventTypeNormal
		if c.State == v1alpha1.StateDegraded || c.State == v1alpha1.StateUnsupported {
			kind = corev1.EventTypeWarning
		}
		events = append(events, Event{kind, "Component" + string(c.State), c.Name + " is " + string(c.State) + ": " + c.Message})
	}
	return events
}

func warningEvents(old, now []v1alpha1.Warning) []Event {
	before := map[v1alpha1.Warning]bool{}
	for _, w := range old {
		before[w] = true
	}
	var events []Event
	for _, w := range now {
		if !before[w] {
			events = append(events, Event{corev1.EventTypeWarning, w.Reason, w.Field + ": " + w.Message})
		}
	}
	return events
}
