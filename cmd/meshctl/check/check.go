// Package check finds what keeps a mesh from being installed or from working, each finding with a remedy and a page of the
// documentation. Gather reads a cluster; Before and After decide from what it read.
package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// Level is how much a finding matters.
type Level string

// Levels of findings, from the best.
const (
	OK      Level = "ok"
	Warning Level = "warning" // the mesh works, or may, but not as one may think
	Error   Level = "error"   // the mesh cannot be installed, or does not work
)

// Finding is the answer of one check about one subject.
type Finding struct {
	Check   string `json:"check"` // also the anchor in Page
	Level   Level  `json:"level"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
	Docs    string `json:"docs,omitempty"`
}

// Page explains every check, at the anchor of its name.
const Page = "https://github.com/mesh-operator/mesh-operator/blob/main/docs/checks.md"

// Names lists every check.
func Names() []string {
	var out []string
	for _, c := range slices.Concat(before, after) {
		if !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// Facts are what a cluster is like, as far as the checks ask.
type Facts struct {
	Now          time.Time
	Version      string   // of Kubernetes
	Missing      []string // permissions that the user lacks to install the operator
	Meshes       []string // signs of another mesh
	Nodes        []Node
	Namespaces   []Namespace // that ask for injection
	Operator     Workload
	Installation *v1alpha1.Installation // nil: none
	Webhook      string                 // problem of the injector's webhook; empty: none
	Unreadable   []string               // what the user may not read
}

// Node is a node of the cluster.
type Node struct{ Name, OS, Architecture, Kernel string }

// Namespace is a namespace that asks for injection.
type Namespace struct {
	Name       string
	Enforced   string   // pod security profile that refuses pods; empty: none
	Uninjected []string // pods without a sidecar that could have one
}

// Workload is the operator's Deployment.
type Workload struct {
	Namespace string // empty: there is none
	Available bool
}

// one is a check: it returns nothing when its subject is absent, and else at least one finding.
type one struct {
	name string
	run  func(Facts) []Finding
}

var before = []one{
	{"kubernetes-version", kubernetesVersion},
	{"permissions", permissions},
	{"other-mesh", otherMesh},
	{"nodes", nodes},
	{"pod-security", podSecurity},
}

var after = []one{
	{"kubernetes-version", kubernetesVersion},
	{"operator", operator},
	{"installation", installation},
	{"components", components},
	{"certificates", certificates},
	{"injection-webhook", injectionWebhook},
	{"data-plane", dataPlane},
	{"pod-security", podSecurity},
	{"injection", injection},
	{"settings", settings},
}

// Before checks a cluster without the operator.
func Before(f Facts) []Finding { return run(before, f) }

// After checks a cluster with the operator.
func After(f Facts) []Finding { return run(after, f) }

func run(checks []one, f Facts) []Finding {
	var out []Finding
	for _, c := range checks {
		for _, finding := range c.run(f) {
			finding.Check = c.name
			if finding.Level != OK {
				finding.Docs = Page + "#" + c.name
			}
			out = append(out, finding)
		}
	}
	for _, what := range f.Unreadable {
		out = append(out, Finding{Check: "read", Level: Warning, Message: "not checked: " + what, Remedy: "ask somebody with that right to run the check", Docs: Page + "#read"})
	}
	return out
}

// Worst is the worst level of findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func ok(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Message: fmt.Sprintf(format, args...)}}
}

func finding(level Level, remedy, format string, args ...any) Finding {
	return Finding{Level: level, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// oldest is the first version of Kubernetes with ValidatingAdmissionPolicies.
var oldest = version.MustParse("1.30.0")

func kubernetesVersion(f Facts) []Finding {
	v, err := version.ParseGeneric(f.Version)
	if err != nil {
		return []Finding{finding(Warning, "compare it yourself", "Kubernetes calls its version %q; %s or newer is needed", f.Version, oldest)}
	}
	if v.LessThan(oldest) {
		return []Finding{finding(Error, "upgrade the cluster", "Kubernetes is %s; %s or newer is needed", f.Version, oldest)}
	}
	return ok("Kubernetes is %s", f.Version)
}

func permissions(f Facts) []Finding {
	if len(f.Missing) > 0 {
		return []Finding{finding(Error, "install as a cluster admin: kubectl auth can-i --list shows your rights", "you may not %s", strings.Join(f.Missing, ", "))}
	}
	return ok("you may create everything that the operator needs")
}

func otherMesh(f Facts) []Finding {
	var out []Finding
	for _, sign := range f.Meshes {
		out = append(out, finding(Error, "remove that mesh first: two injectors would change the same pods", "%s belongs to another mesh", sign))
	}
	if out == nil {
		return ok("there is no other mesh")
	}
	return out
}

// oldestKernel is the first with nat chains of nftables for both families in one table.
var oldestKernel = version.MustParse("5.2.0")

func nodes(f Facts) []Finding {
	var out []Finding
	for _, n := range f.Nodes {
		if n.OS != string(corev1.Linux) {
			continue // pods of the mesh are never placed there
		}
		number, _, _ := strings.Cut(n.Kernel, "-")
		kernel, err := version.ParseGeneric(strings.TrimSuffix(number, "+"))
		if err == nil && kernel.LessThan(oldestKernel) {
			out = append(out, finding(Error, "upgrade the node's kernel, or keep pods with a sidecar off it", "node %s has kernel %s; redirecting traffic needs %s or newer", n.Name, n.Kernel, oldestKernel))
		}
		if n.Architecture != "amd64" {
			out = append(out, finding(Warning, "keep pods of the mesh on amd64 nodes, with nodeSelector: {kubernetes.io/arch: amd64}", "node %s is of architecture %s; the images are for amd64", n.Name, n.Architecture))
		}
	}
	if out == nil {
		return ok("%d nodes can run pods of the mesh", len(f.Nodes))
	}
	return out
}

func podSecurity(f Facts) []Finding {
	var out []Finding
	for _, n := range f.Namespaces {
		if n.Enforced == "baseline" || n.Enforced == "restricted" {
			out = append(out, finding(Error, "kubectl label --overwrite namespace "+n.Name+" pod-security.kubernetes.io/enforce=privileged",
				"namespace %s asks for sidecars and enforces the profile %s, which refuses the container that redirects traffic", n.Name, n.Enforced))
		}
	}
	if out == nil {
		return ok("no namespace refuses pods with a sidecar")
	}
	return out
}
