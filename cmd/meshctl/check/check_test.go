package check

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// healthy is a cluster without findings.
func healthy() Facts {
	in := &v1alpha1.Installation{ObjectMeta: metav1.ObjectMeta{Name: "istio-installation", Namespace: "istio-operator", Generation: 2}}
	in.Status = v1alpha1.InstallationStatus{
		ObservedGeneration: 2,
		Conditions:         []metav1.Condition{{Type: "Ready", Status: "True"}, {Type: "NoConflicts", Status: "True"}},
		Components:         []v1alpha1.ComponentStatus{{Name: "pilot", State: v1alpha1.StateReady}, {Name: "kiali", State: v1alpha1.StateDisabled}},
		Certificates:       []v1alpha1.CertificateStatus{{Name: "CN=root", NotAfter: metav1.NewTime(now.AddDate(1, 0, 0))}},
		DataPlane:          &v1alpha1.DataPlaneStatus{Proxies: 4},
	}
	return Facts{
		Now: now, Version: "v1.36.3", Nodes: []Node{{"one", "linux", "amd64", "6.1.0-28-amd64"}, {"windows", "windows", "amd64", "10.0"}},
		Namespaces: []Namespace{{Name: "bookinfo"}}, Operator: Workload{Namespace: "istio-operator", Available: true}, Installation: in,
	}
}

// TestChecks changes one thing of a healthy cluster at a time: one check finds it, with a remedy and the page about it.
func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string // check, level and part of the message
	}{
		"OldKubernetes":       {func(f *Facts) { f.Version = "v1.29.9" }, "kubernetes-version error Kubernetes is v1.29.9"},
		"OddVersion":          {func(f *Facts) { f.Version = "unknown" }, `kubernetes-version warning calls its version "unknown"`},
		"ProviderVersion":     {func(f *Facts) { f.Version = "v1.31.2-gke.100" }, ""},
		"NoPermission":        {func(f *Facts) { f.Missing = []string{"create namespaces", "create roles in istio-operator"} }, "permissions error may not create namespaces, create roles"},
		"OtherMesh":           {func(f *Facts) { f.Meshes = []string{"MutatingWebhookConfiguration istiod"} }, "other-mesh error MutatingWebhookConfiguration istiod belongs"},
		"OldKernel":           {func(f *Facts) { f.Nodes[0].Kernel = "4.18.0-553.el8" }, "nodes error node one has kernel 4.18.0-553.el8"},
		"ARM":                 {func(f *Facts) { f.Nodes[0].Architecture = "arm64" }, "nodes warning architecture arm64"},
		"Restricted":          {func(f *Facts) { f.Namespaces[0].Enforced = "restricted" }, "pod-security error namespace bookinfo"},
		"Privileged":          {func(f *Facts) { f.Namespaces[0].Enforced = "privileged" }, ""},
		"NoOperator":          {func(f *Facts) { f.Operator = Workload{}; f.Installation = nil }, "operator error not installed"},
		"OperatorUnavailable": {func(f *Facts) { f.Operator.Available = false }, "operator error in namespace istio-operator is not available"},
		"NoInstallation":      {func(f *Facts) { f.Installation = nil }, "installation error no Installation"},
		"NotObserved":         {func(f *Facts) { f.Installation.Generation = 3 }, "installation warning has not seen"},
		"NoCondition":         {func(f *Facts) { f.Installation.Status.Conditions = nil }, "installation warning no condition Ready"},
		"NotReady":            {condition("Ready", "pilot is away"), "installation error not Ready: Reason: pilot is away"},
		"Conflict":            {condition("NoConflicts", "a name is taken"), "installation warning NoConflicts is False: a name is taken"},
		"Degraded": {func(f *Facts) {
			f.Installation.Status.Components[0] = v1alpha1.ComponentStatus{Name: "pilot", State: v1alpha1.StateDegraded, Message: "no image"}
		}, "components warning pilot is Degraded: no image"},
		"ExpiresSoon": {expires(now.AddDate(0, 0, 20)), "certificates warning expires 2026-11-21"},
		"Expired":     {expires(now.AddDate(0, 0, -1)), "certificates error expires 2026-10-31"},
		"Unhealthy":   {condition("CertificatesHealthy", "a proxy has the old root"), "certificates warning a proxy has the old root"},
		"Webhook":     {func(f *Facts) { f.Webhook = "the injector's webhook has no root of trust" }, "injection-webhook error no root of trust"},
		"Outdated":    {func(f *Facts) { f.Installation.Status.DataPlane.Outdated = 1 }, "data-plane warning 1 of 4 proxies are not the current"},
		"NotSynced":   {func(f *Facts) { f.Installation.Status.DataPlane.NotSynced = 2 }, "data-plane warning 2 of 4 proxies run without"},
		"NoSidecar":   {func(f *Facts) { f.Namespaces[0].Uninjected = []string{"a", "b", "c", "d"} }, "injection warning has 4 pods without one, such as a, b, c"},
		"Settings": {func(f *Facts) {
			f.Installation.Status.Warnings = []v1alpha1.Warning{{Field: "spec.istio.prefix", Message: "no longer exist"}}
		}, "settings warning spec.istio.prefix: no longer exist"},
		"Forbidden": {func(f *Facts) { f.Unreadable = []string{"nodes"} }, "read warning not checked: nodes"},
		"Healthy":   {func(*Facts) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			facts := healthy()
			c.change(&facts)
			var got []string
			for _, f := range slices.Concat(Before(facts), After(facts)) {
				if f.Level == OK {
					continue
				}
				if f.Remedy == "" || f.Docs != Page+"#"+f.Check {
					t.Errorf("%s has remedy %q and page %q", f.Check, f.Remedy, f.Docs)
				}
				got = append(got, fmt.Sprintf("%s %s %s", f.Check, f.Level, f.Message))
			}
			slices.Sort(got)
			got = slices.Compact(got) // before and after have checks in common
			if c.want == "" && len(got) == 0 {
				return
			}
			check, rest, _ := strings.Cut(c.want, " ")
			level, message, _ := strings.Cut(rest, " ")
			if len(got) != 1 || !strings.HasPrefix(got[0], check+" "+level+" ") || !strings.Contains(got[0], message) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func condition(name, message string) func(*Facts) {
	return func(f *Facts) {
		f.Installation.Status.Conditions = slices.DeleteFunc(f.Installation.Status.Conditions, func(c metav1.Condition) bool { return c.Type == name })
		f.Installation.Status.Conditions = append(f.Installation.Status.Conditions, metav1.Condition{Type: name, Status: "False", Reason: "Reason", Message: message})
	}
}

func expires(at time.Time) func(*Facts) {
	return func(f *Facts) { f.Installation.Status.Certificates[0].NotAfter = metav1.NewTime(at) }
}

// TestWorst: an error outweighs warnings, wherever it stands.
func TestWorst(t *testing.T) {
	for want, levels := range map[Level][]Level{OK: {OK, OK}, Warning: {OK, Warning, OK}, Error: {Warning, Error, Warning}} {
		var findings []Finding
		for _, level := range levels {
			findings = append(findings, Finding{Level: level})
		}
		if got := Worst(findings); got != want {
			t.Errorf("%v: %s", levels, got)
		}
	}
}

// TestEveryCheckHasAPage: docs/checks.md has a heading for each check, in both languages, so that addresses of findings work.
func TestEveryCheckHasAPage(t *testing.T) {
	for _, path := range []string{"../../../docs/checks.md", "../../../docs/zh/checks.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(Names(), "read") {
			if !strings.Contains(string(text), "\n## "+name+"\n") {
				t.Errorf("%s has no heading %s", path, name)
			}
		}
	}
}
