// Package injector adds the sidecar to pods. Inject is a function from the bytes of a pod to a JSON patch; the admission
// webhook and `meshctl kube-inject` are two ways to call it.
//
//	decode ── decide ── annotations ── render ── merge ── patch
//	          rules,    what the pod   the       what the  operations on the
//	          reasons   may ask for    template  user wrote original bytes
//
// The pod is input of a tenant. It decides whether it is injected and a short list of settings, never the image, the
// identity or the security context of what is injected; what it may not ask for is refused by name. The patch is built from
// typed values and touches only what it adds, so fields of a newer Kubernetes than ours survive.
package injector

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// Request is a pod, or a pod template, and what is known about where it goes.
type Request struct {
	Pod             []byte // JSON
	Namespace       string
	NamespaceLabels map[string]string
	Owner           *workload.Owner // what the pod is made from; nil: its owner references tell
	Asked           bool            // somebody asked for this very pod
}

// Result is the decision and what follows from it.
type Result struct {
	Decision Decision
	Patch    []Operation
	Warnings []string
}

// Refusal is an error for the person who wrote the pod.
type Refusal struct {
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Inject decides about a pod and returns the patch that adds the sidecar. Applying the patch and asking again gives no
// further patch.
func (s *Settings) Inject(r Request) (Result, error) {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(r.Pod, pod); err != nil {
		return Result{}, refuse("decode pod: %v", err)
	}
	decision := decide(subject{pod, r.Namespace, r.NamespaceLabels, r.Asked, s})
	if !decision.Inject {
		return Result{Decision: decision}, nil
	}
	result := Result{Decision: decision}
	sidecar, warnings, err := s.sidecarFor(pod, r.Owner)
	if err != nil {
		return Result{}, err
	}
	result.Warnings = append(warnings, cautions(pod, sidecar.rewrites)...)
	sidecar.recordWarnings(result.Warnings)
	if result.Patch, err = sidecar.patch(pod, r.Pod); err != nil {
		return Result{}, err
	}
	return result, nil
}

// sidecarFor renders the sidecar for a pod and lets the pod have its say.
func (s *Settings) sidecarFor(pod *corev1.Pod, owner *workload.Owner) (*sidecar, []string, error) {
	if err := check(pod); err != nil {
		return nil, nil, err
	}
	options, err := readAnnotations(pod.Annotations, s.values)
	if err != nil {
		return nil, nil, refuse("%v", err)
	}
	out := &sidecar{revision: s.values.Revision, version: s.values.Version, token: s.token, rewrites: options.rewriteProbes}
	if options.rewriteProbes {
		warnings := out.rewriteProbes(pod)
		options.warnings = append(options.warnings, warnings...)
	}
	if options.proxy.Probes, err = out.probers(); err != nil {
		return nil, nil, err
	}
	options.readLabels(pod.Labels)
	scrape, err := options.scraping(pod.Annotations)
	if err != nil {
		return nil, nil, refuse("%v", err)
	}
	if out.pod, err = s.render(pod, owner, options); err != nil {
		return nil, nil, err
	}
	for _, v := range options.variables {
		if err := overrideEnv(out.proxy(), v); err != nil {
			return nil, nil, err
		}
	}
	out.annotate(s.annotations, pod.Annotations)
	out.force(scrape)
	if err := out.override(pod); err != nil {
		return nil, nil, err
	}
	return out, options.warnings, out.addVolumes(pod, options)
}
