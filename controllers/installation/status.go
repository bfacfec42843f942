package installation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// expiryWarning is how long before its end a root of trust is called unhealthy.
const expiryWarning = 30 * 24 * time.Hour

// Status computes the whole status from what happened. The same trouble gives the same status, word for word, so that
// nothing is written while nothing changes.
func Status(old v1alpha1.InstallationStatus, out Outcome, failure error, now time.Time) v1alpha1.InstallationStatus {
	status := *old.DeepCopy()
	status.ObservedGeneration = out.Generation
	status.Removal = out.Removal
	if out.Removal != nil {
		setRemovalConditions(&status, out, failure)
		return status
	}
	status.Warnings = out.Warnings
	if out.Observed || old.Components == nil {
		status.Components = componentStatuses(out)
		status.Certificates = certificateStatus(out.Roots)
		status.DataPlane = dataPlaneStatus(old.DataPlane, out)
		status.Endpoints = endpoints(out)
		status.Images = usedImages(out.Plan, out.Pods)
	}
	for _, condition := range []metav1.Condition{
		noConflicts(out), specSupported(out), certificatesHealthy(status.Certificates, now), reconciled(out, failure),
	} {
		set(&status, condition, out.Generation)
	}
	set(&status, readyCondition(out, failure, &status), out.Generation)
	status.Version = versionStatus(old.Version, meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady))
	return status
}

func set(status *v1alpha1.InstallationStatus, condition metav1.Condition, generation int64) {
	condition.ObservedGeneration = generation
	meta.SetStatusCondition(&status.Conditions, condition)
	slices.SortFunc(status.Conditions, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
}

func condition(kind string, ok bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func noConflicts(out Outcome) metav1.Condition {
	if len(out.Conflicts) == 0 {
		return condition(v1alpha1.ConditionNoConflicts, true, "NoConflicts", "nothing stands in the way")
	}
	return condition(v1alpha1.ConditionNoConflicts, false, "ForeignObjects", strings.Join(out.Conflicts, "; "))
}

func specSupported(out Outcome) metav1.Condition {
	if out.Invalid != "" {
		return condition(v1alpha1.ConditionSpecSupported, false, "Invalid", out.Invalid)
	}
	if len(out.Unsupported) == 0 {
		return condition(v1alpha1.ConditionSpecSupported, true, "Supported", "this version does everything that spec asks for")
	}
	var fields []string
	for _, part := range out.Unsupported {
		fields = append(fields, part.field)
	}
	return condition(v1alpha1.ConditionSpecSupported, false, "Unsupported",
		"this version does not do what "+strings.Join(fields, ", ")+" ask for; see components")
}

func certificatesHealthy(certificates []v1alpha1.CertificateStatus, now time.Time) metav1.Condition {
	const kind = v1alpha1.ConditionCertificatesHealthy
	if len(certificates) == 0 {
		return condition(kind, false, "NoRoot", "citadel has not published the roots of trust yet")
	}
	last := slices.MaxFunc(certificates, func(a, b v1alpha1.CertificateStatus) int { return a.NotAfter.Compare(b.NotAfter.Time) })
	end := last.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case !now.Before(last.NotAfter.Time):
		return condition(kind, false, "Expired", "the last root of trust expired at "+end)
	case now.Add(expiryWarning).After(last.NotAfter.Time):
		return condition(kind, false, "ExpiresSoon", "the last root of trust expires at "+end)
	}
	return condition(kind, true, "Valid", "a root of trust is valid until "+end)
}

func reconciled(out Outcome, failure error) metav1.Condition {
	const kind = v1alpha1.ConditionReconciled
	switch {
	case out.Invalid != "":
		return condition(kind, false, "Invalid", out.Invalid)
	case len(out.Conflicts) > 0:
		return condition(kind, false, "Conflict", "nothing is applied while other objects stand in the way; see NoConflicts")
	case failure != nil:
		return condition(kind, false, "Failed", failure.Error())
	case out.Waiting != "":
		return condition(kind, false, "Progressing", "waiting for "+strings.TrimPrefix(out.Waiting, "waiting for "))
	}
	return condition(kind, true, "Applied", "the cluster holds every object that spec asks for")
}

// readyCondition sums up; the first thing in the way, in the order of its cases, gives the reason.
func readyCondition(out Outcome, failure error, status *v1alpha1.InstallationStatus) metav1.Condition {
	const kind = v1alpha1.ConditionReady
	if c := reconciled(out, failure); out.Invalid != "" || len(out.Conflicts) > 0 || failure != nil {
		message := c.Message
		if len(out.Conflicts) > 0 {
			message = strings.Join(out.Conflicts, "; ")
		}
		return condition(kind, false, c.Reason, message)
	}
	for _, state := range []v1alpha1.ComponentState{v1alpha1.StateDegraded, v1alpha1.StateProgressing} {
		if c, ok := firstIn(status.Components, state); ok {
			return condition(kind, false, string(state), c.Name+": "+c.Message)
		}
	}
	for _, part := range out.Unsupported {
		if part.blocksReady {
			return condition(kind, false, "Unsupported", part.field+": "+part.message)
		}
	}
	if out.Waiting != "" {
		c := reconciled(out, nil)
		return condition(kind, false, c.Reason, c.Message)
	}
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCertificatesHealthy); c != nil && c.Reason == "Expired" {
		return condition(kind, false, c.Reason, c.Message)
	}
	return condition(kind, true, "Ready", "the mesh can be used")
}

func firstIn(components []v1alpha1.ComponentStatus, state v1alpha1.ComponentState) (v1alpha1.ComponentStatus, bool) {
	i := slices.IndexFunc(components, func(c v1alpha1.ComponentStatus) bool { return c.State == state })
	if i < 0 {
		return v1alpha1.ComponentStatus{}, false
	}
	return components[i], true
}

func componentStatuses(out Outcome) []v1alpha1.ComponentStatus {
	var statuses []v1alpha1.ComponentStatus
	for _, c := range out.Plan.Components {
		statuses = append(statuses, componentStatus(c, out))
	}
	for _, part := range out.Unsupported {
		statuses = append(statuses, v1alpha1.ComponentStatus{
			Name: part.component, State: v1alpha1.StateUnsupported, Reason: "Unsupported", Message: part.message,
		})
	}
	slices.SortFunc(statuses, func(a, b v1alpha1.ComponentStatus) int { return cmp.Compare(a.Name, b.Name) })
	return statuses
}

func componentStatus(c Component, out Outcome) v1alpha1.ComponentStatus {
	status := v1alpha1.ComponentStatus{Name: c.Name, Image: c.Image}
	if !c.Enabled {
		return v1alpha1.ComponentStatus{Name: c.Name, State: v1alpha1.StateDisabled, Reason: "Disabled", Message: "enabled is false"}
	}
	deployment := out.Deployments[c.Deployment]
	if deployment == nil {
		status.State, status.Reason, status.Message = v1alpha1.StateProgressing, "NotCreated", "its Deployment is not there yet"
		return status
	}
	status.Desired, status.Ready = replicas(deployment), deployment.Status.ReadyReplicas
	problem, troubled := out.Problems[c.Name]
	switch {
	case troubled:
		status.State, status.Reason, status.Message = v1alpha1.StateDegraded, problem.Reason, problem.Message
	case rolledOut(deployment):
		status.State, status.Reason, status.Message = v1alpha1.StateReady, "Ready", "all pods are ready"
	default:
		status.State, status.Reason = v1alpha1.StateProgressing, "RollingOut"
		status.Message = fmt.Sprintf("rolling out: %d of %d pods are up to date, %d are ready", deployment.Status.UpdatedReplicas, status.Desired, status.Ready)
	}
	return status
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// rolledOut reports that all pods are of the current template and ready.
func rolledOut(d *appsv1.Deployment) bool {
	want := replicas(d)
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == want &&
		d.Status.Replicas == want && d.Status.ReadyReplicas == want
}

func versionStatus(old *v1alpha1.VersionStatus, ready bool) *v1alpha1.VersionStatus {
	status := &v1alpha1.VersionStatus{Operator: version.Version, Desired: version.Version}
	if old != nil {
		status.Current = old.Current
	}
	if ready {
		status.Current = version.Version
	}
	return status
}

// setRemovalConditions says how far the removal is; the other conditions keep what they said last.
func setRemovalConditions(status *v1alpha1.InstallationStatus, out Outcome, failure error) {
	message := removalMessage(out.Removal)
	if failure != nil {
		message = failure.Error()
	}
	if len(out.Sidecars) > 0 {
		message += "; " + sidecarsMessage(out.Sidecars)
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciled} {
		set(status, condition(kind, false, "Removing", message), out.Generation)
	}
}

func removalMessage(r *v1alpha1.RemovalStatus) string {
	if len(r.Blockers) == 0 {
		return "removing " + r.Stage
	}
	first := r.Blockers[0]
	name := first.Name
	if first.Namespace != "" {
		name = first.Namespace + "/" + name
	}
	message := fmt.Sprintf("removing %s: waiting for %s %s: %s", r.Stage, first.Kind, name, first.Reason)
	if r.Remaining > 1 {
		message = fmt.Sprintf("removing %s: waiting for %d objects, such as %s %s: %s", r.Stage, r.Remaining, first.Kind, name, first.Reason)
	}
	return message
}
