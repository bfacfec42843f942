package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/listing"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Status computes the whole status. The same outcome gives the same status, word for word, so that nothing is written while
// nothing changes.
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
		if !out.Roots.Empty() { // the old ones stay: they tell whether the next roots replace them
			status.Certificates = certificateStatus(out.Roots)
		}
		status.DataPlane = dataPlaneStatus(old.DataPlane, out)
		status.Endpoints = endpoints(out)
		status.Images = usedImages(out.Plan, out.Pods)
	}
	for _, condition := range []metav1.Condition{
		noConflicts(out), specSupported(out), certificatesHealthy(old, status.Certificates, out, now), reconciled(out, failure),
	} {
		set(&status, condition, out.Generation)
	}
	set(&status, readyCondition(out, failure, &status), out.Generation)
	status.Version = versionStatus(old.Version, meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady))
	return status
}

func set(status *v1alpha1.InstallationStatus, condition metav1.Condition, generation int64) {
	condition.ObservedGeneration = generation
	if !condition.LastTransitionTime.IsZero() { // SetStatusCondition ignores it while only the reason changes
		meta.RemoveStatusCondition(&status.Conditions, condition.Type)
	}
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
		return condition(v1alpha1.ConditionNoConflicts, true, "NoConflicts", "no object of others has a name that the mesh needs")
	}
	return condition(v1alpha1.ConditionNoConflicts, false, "ForeignObjects", strings.Join(out.Conflicts, "; "))
}

func specSupported(out Outcome) metav1.Condition {
	if out.Invalid != "" {
		return condition(v1alpha1.ConditionSpecSupported, false, "Invalid", out.Invalid)
	}
	if len(out.Unsupported) == 0 {
		return condition(v1alpha1.ConditionSpecSupported, true, "Supported", "this version supports every field of spec")
	}
	var fields []string
	for _, part := range out.Unsupported {
		fields = append(fields, part.Field)
	}
	return condition(v1alpha1.ConditionSpecSupported, false, "Unsupported",
		"not supported by this version: "+strings.Join(fields, ", ")+"; see components")
}

func reconciled(out Outcome, failure error) metav1.Condition {
	const kind = v1alpha1.ConditionReconciled
	switch {
	case out.Invalid != "":
		return condition(kind, false, "Invalid", out.Invalid)
	case len(out.Conflicts) > 0:
		return condition(kind, false, "Conflict", "nothing is applied while objects of others have names that the mesh needs; see NoConflicts")
	case failure != nil:
		return condition(kind, false, "Failed", failure.Error())
	case out.Waiting != "":
		return condition(kind, false, "Progressing", "waiting for "+strings.TrimPrefix(out.Waiting, "waiting for "))
	}
	return condition(kind, true, "Applied", "the cluster holds every object that spec asks for")
}

// readyCondition sums up; the first problem, in the order of its cases, gives the reason.
func readyCondition(out Outcome, failure error, status *v1alpha1.InstallationStatus) metav1.Condition {
	const kind = v1alpha1.ConditionReady
	if c := reconciled(out, failure); out.Invalid != "" || len(out.Conflicts) > 0 || failure != nil {
		message := c.Message
		if len(out.Conflicts) > 0 {
			message = strings.Join(out.Conflicts, "; ")
		}
		return condition(kind, false, c.Reason, message)
	}
	for _, c := range out.Plan.Components {
		if c.Required != "" && (!c.Enabled || c.Replicas != nil && *c.Replicas == 0) {
			return condition(kind, false, "Disabled", c.Name+" is disabled or has no pods, as spec asks, and without it "+c.Required+": the mesh cannot be used")
		}
	}
	for _, state := range []v1alpha1.ComponentState{v1alpha1.StateDegraded, v1alpha1.StateProgressing} {
		if c, ok := firstIn(status.Components, state); ok {
			return condition(kind, false, string(state), c.Name+": "+c.Message)
		}
	}
	for _, part := range out.Unsupported {
		if part.BlocksReady {
			return condition(kind, false, "Unsupported", part.Field+": "+part.Message)
		}
	}
	if out.Waiting != "" {
		c := reconciled(out, nil)
		return condition(kind, false, c.Reason, c.Message)
	}
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCertificatesHealthy); c != nil && (c.Reason == "Expired" || c.Reason == ReasonRootReplaced) {
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
	problems := podProblems(out.Pods)
	for _, c := range out.Plan.Components {
		statuses = append(statuses, componentStatus(c, out, problems))
	}
	for _, part := range out.Unsupported {
		statuses = append(statuses, v1alpha1.ComponentStatus{
			Name: part.Component, State: v1alpha1.StateUnsupported, Reason: "Unsupported", Message: part.Message,
		})
	}
	slices.SortFunc(statuses, func(a, b v1alpha1.ComponentStatus) int { return cmp.Compare(a.Name, b.Name) })
	return statuses
}

func componentStatus(c desired.Component, out Outcome, problems map[string]podProblem) v1alpha1.ComponentStatus {
	status := v1alpha1.ComponentStatus{Name: c.Name, Image: c.Image}
	if !c.Enabled && c.External != "" {
		return v1alpha1.ComponentStatus{Name: c.Name, State: v1alpha1.StateExternal, Reason: "External", Message: "somebody else runs it, as spec says"}
	}
	if !c.Enabled {
		return v1alpha1.ComponentStatus{Name: c.Name, State: v1alpha1.StateDisabled, Reason: "Disabled", Message: "enabled is false"}
	}
	workload, found := out.Workloads[c.Name]
	if !found {
		status.State, status.Reason, status.Message = v1alpha1.StateProgressing, "NotCreated", "its "+c.Kind+" does not exist yet"
		return status
	}
	status.Desired, status.Ready = workload.Desired, workload.Ready
	problem, hasProblem := problems[c.Name]
	switch {
	case hasProblem:
		status.State, status.Reason, status.Message = v1alpha1.StateDegraded, problem.Reason, problem.Message
	case workload.Failed != "":
		status.State, status.Reason, status.Message = v1alpha1.StateDegraded, "Failed", workload.Failed
	case workload.Current && workload.Desired == 0 && c.Replicas != nil && *c.Replicas == 0:
		status.State, status.Reason, status.Message = v1alpha1.StateReady, "ScaledToZero", "it has no pods, because spec sets replicas to 0"
	case workload.Current && workload.Desired == 0 && c.Kind == "DaemonSet":
		status.State, status.Reason, status.Message = v1alpha1.StateReady, "NoNodes", "it has no pods, because no node is for them"
	case workload.Current && workload.Desired == 0:
		status.State, status.Reason, status.Message = v1alpha1.StateProgressing, "ScaledToZero", "its "+c.Kind+" asks for no pods, and spec does not set replicas to 0"
	case workload.Current:
		status.State, status.Reason, status.Message = v1alpha1.StateReady, "Ready", "all pods are ready"
	default:
		status.State, status.Reason = v1alpha1.StateProgressing, "RollingOut"
		status.Message = fmt.Sprintf("rolling out: %d of %d pods are up to date, %d are ready", workload.Updated, workload.Desired, workload.Ready)
	}
	return status
}

// dataPlaneStatus compares the sidecars of pods with the one that they would get now. The old numbers stay until the next
// poll, so that a new leader changes nothing.
func dataPlaneStatus(old *v1alpha1.DataPlaneStatus, out Outcome) *v1alpha1.DataPlaneStatus {
	if !out.DataPlane.Polled {
		return old
	}
	proxies := out.DataPlane.Proxies
	if proxies == nil {
		return nil
	}
	return &v1alpha1.DataPlaneStatus{ // counts of pods, which are bounded where they are read
		Proxies: int32(proxies.All()), Outdated: int32(proxies.Outdated(out.Plan.SidecarVersion)), NotSynced: int32(proxies.NotSynced()),
	}
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

// setRemovalConditions reports how far the removal is; the other conditions stay as they are.
func setRemovalConditions(status *v1alpha1.InstallationStatus, out Outcome, failure error) {
	message := removalMessage(out.Removal)
	if failure != nil {
		message = failure.Error()
	}
	if len(out.Sidecars) > 0 {
		message += "; " + SidecarsMessage(out.Sidecars)
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

// SidecarsMessage counts the pods with a sidecar, names the first five and says what to do about them.
func SidecarsMessage(pods []string) string {
	named := strings.Join(listing.First(pods, 5), ", ")
	return fmt.Sprintf("%d pods still run a sidecar: %s; they get no new configuration and no new certificates, so restart their "+
		"workloads (kubectl rollout restart; those of kube-inject: apply the manifest without the sidecar)", len(pods), named)
}
