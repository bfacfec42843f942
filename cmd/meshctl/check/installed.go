package check

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

func operator(f Facts) []Finding {
	switch {
	case f.Operator.Namespace == "":
		return []Finding{finding(Error, "kubectl apply --server-side -k config/default", "the operator is not installed")}
	case !f.Operator.Available:
		return []Finding{finding(Error, fmt.Sprintf("kubectl describe -n %s deployment/istio-operator; kubectl logs -n %[1]s deployment/istio-operator", f.Operator.Namespace),
			"the operator in namespace %s is not available", f.Operator.Namespace)}
	}
	return ok("the operator in namespace %s is available", f.Operator.Namespace)
}

// installation is about condition Ready and, when it is False, those that say why.
func installation(f Facts) []Finding {
	in := f.Installation
	if in == nil {
		if f.Operator.Namespace == "" {
			return nil
		}
		return []Finding{finding(Error, "kubectl create -f config/samples/istio-installation.yaml", "there is no Installation")}
	}
	describe := "kubectl describe -n " + in.Namespace + " installation " + in.Name
	if in.Status.ObservedGeneration < in.Generation {
		return []Finding{finding(Warning, describe, "the operator has not seen the last change of the Installation")}
	}
	ready := meta.FindStatusCondition(in.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return []Finding{finding(Warning, describe, "the Installation has no condition Ready yet")}
	}
	var out []Finding
	if ready.Status != metav1.ConditionTrue {
		out = append(out, finding(Error, describe, "the Installation is not Ready: %s: %s", ready.Reason, ready.Message))
	}
	for _, name := range []string{v1alpha1.ConditionNoConflicts, v1alpha1.ConditionSpecSupported} {
		if c := meta.FindStatusCondition(in.Status.Conditions, name); c != nil && c.Status == metav1.ConditionFalse {
			out = append(out, finding(Warning, describe, "%s is False: %s", name, c.Message))
		}
	}
	if out == nil {
		return ok("the Installation is Ready")
	}
	return out
}

func components(f Facts) []Finding {
	if f.Installation == nil {
		return nil
	}
	var out []Finding
	working := 0
	for _, c := range f.Installation.Status.Components {
		switch c.State {
		case v1alpha1.StateDegraded, v1alpha1.StateProgressing:
			out = append(out, finding(Warning, "kubectl get pods -n istio-system", "component %s is %s: %s", c.Name, c.State, c.Message))
		case v1alpha1.StateReady:
			working++
		}
	}
	if out == nil {
		return ok("%d components are Ready", working)
	}
	return out
}

// soon is when a root of trust should be replaced.
const soon = 30 * 24 * time.Hour

func certificates(f Facts) []Finding {
	if f.Installation == nil {
		return nil
	}
	var out []Finding
	for _, c := range f.Installation.Status.Certificates {
		if left := c.NotAfter.Sub(f.Now); left < soon {
			level := Warning
			if left < 0 {
				level = Error
			}
			out = append(out, finding(level, "replace the root, as condition CertificatesHealthy says", "root of trust %s expires %s", c.Name, c.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	healthy := meta.FindStatusCondition(f.Installation.Status.Conditions, v1alpha1.ConditionCertificatesHealthy)
	if out == nil && healthy != nil && healthy.Status == metav1.ConditionFalse {
		out = append(out, finding(Warning, "do what the message says", "%s", healthy.Message))
	}
	if out == nil && len(f.Installation.Status.Certificates) > 0 {
		return ok("%d roots of trust are valid for at least 30 days", len(f.Installation.Status.Certificates))
	}
	return out
}

func injectionWebhook(f Facts) []Finding {
	if f.Installation == nil {
		return nil
	}
	if f.Webhook != "" {
		return []Finding{finding(Error, "kubectl get pods -n istio-system -l app=sidecarInjectorWebhook; the operator restores the webhook", "%s", f.Webhook)}
	}
	return ok("new pods get a sidecar where they ask for one")
}

func dataPlane(f Facts) []Finding {
	if f.Installation == nil || f.Installation.Status.DataPlane == nil {
		return nil
	}
	d := f.Installation.Status.DataPlane
	var out []Finding
	if d.Outdated > 0 {
		out = append(out, finding(Warning, "kubectl rollout restart deployment -n NAMESPACE, for each workload", "%d of %d proxies are not the current ones", d.Outdated, d.Proxies))
	}
	if d.NotSynced > 0 {
		out = append(out, finding(Warning, "kubectl logs -n istio-system deployment/istio-pilot names what was rejected", "%d of %d proxies run without the newest configuration", d.NotSynced, d.Proxies))
	}
	if out == nil {
		return ok("%d proxies have the newest configuration", d.Proxies)
	}
	return out
}

// shown is how many pods a message names.
const shown = 3

func injection(f Facts) []Finding {
	var out []Finding
	for _, n := range f.Namespaces {
		if count := len(n.Uninjected); count > 0 {
			out = append(out, finding(Warning, "kubectl rollout restart deployment -n "+n.Name, "namespace %s asks for sidecars and has %d pods without one, such as %s",
				n.Name, count, strings.Join(n.Uninjected[:min(shown, count)], ", ")))
		}
	}
	if out == nil {
		return ok("%d namespaces ask for sidecars, and their pods have one", len(f.Namespaces))
	}
	return out
}

// settings are fields of spec that do not work as one may think.
func settings(f Facts) []Finding {
	if f.Installation == nil {
		return nil
	}
	var out []Finding
	for _, w := range f.Installation.Status.Warnings {
		out = append(out, finding(Warning, "change the field", "%s: %s", w.Field, w.Message))
	}
	return out
}
