package injector

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// Policies of a configuration.
const (
	policyEnabled  = "enabled"
	policyDisabled = "disabled"
)

// Settings are the parsed ConfigMap: everything an injection needs that is not in the pod. They are never changed; a new
// ConfigMap makes new ones.
type Settings struct {
	values      Values
	policy      string
	never       []labels.Selector
	always      []labels.Selector
	annotations map[string]string
	template    *template.Template
	token       func() string // crypto/rand.Text
}

// Values are what the template is rendered with, as the operator derives them from the Installation.
type Values struct {
	ProxyImage               string                        `json:"proxyImage"`
	InitImage                string                        `json:"initImage"`
	PullPolicy               corev1.PullPolicy             `json:"pullPolicy"`
	ImagePullSecrets         []corev1.LocalObjectReference `json:"imagePullSecrets"`
	Resources                corev1.ResourceRequirements   `json:"resources"`
	InitResources            corev1.ResourceRequirements   `json:"initResources"`
	Concurrency              int                           `json:"concurrency"`
	LogLevel                 string                        `json:"logLevel"`
	CAAddress                string                        `json:"caAddress"`
	PilotAddress             string                        `json:"pilotAddress"`
	TrustDomain              string                        `json:"trustDomain"`
	Revision                 string                        `json:"revision"`
	TerminationDrainDuration string                        `json:"terminationDrainDuration"`
	MeshNamespace            string                        `json:"meshNamespace"`
	Version                  string                        `json:"version"` // of template and values, for the status of pods
}

// file is the key config of the ConfigMap.
type file struct {
	Policy               string                 `json:"policy"`
	NeverInjectSelector  []metav1.LabelSelector `json:"neverInjectSelector"`
	AlwaysInjectSelector []metav1.LabelSelector `json:"alwaysInjectSelector"`
	InjectedAnnotations  map[string]string      `json:"injectedAnnotations"`
	Template             string                 `json:"template"`
}

// NewSettings parses the two keys of the ConfigMap and renders the template once, so that a wrong one is found when it is
// written and not when a pod is created.
func NewSettings(config, values []byte) (*Settings, error) {
	var f file
	if err := yaml.UnmarshalStrict(config, &f); err != nil {
		return nil, fmt.Errorf("parse config: %w", err)
	}
	s := &Settings{policy: f.Policy, annotations: f.InjectedAnnotations, token: rand.Text}
	if !slices.Contains([]string{policyEnabled, policyDisabled}, f.Policy) {
		return nil, fmt.Errorf("parse config: policy %q: use %s or %s", f.Policy, policyEnabled, policyDisabled)
	}
	var err error
	if s.never, err = selectors("neverInjectSelector", f.NeverInjectSelector); err != nil {
		return nil, err
	}
	if s.always, err = selectors("alwaysInjectSelector", f.AlwaysInjectSelector); err != nil {
		return nil, err
	}
	if s.values, err = parseValues(values); err != nil {
		return nil, err
	}
	if s.template, err = parseTemplate(f.Template); err != nil {
		return nil, err
	}
	return s, s.try()
}

// Revision is the name of the control plane that the injected pods belong to.
func (s *Settings) Revision() string { return s.values.Revision }

// try injects into a small pod.
func (s *Settings) try() error {
	pod := []byte(`{"metadata":{"name":"try","namespace":"default"},"spec":{"containers":[{"name":"app"}]}}`)
	if _, err := s.Inject(Request{Pod: pod, Namespace: "default", Asked: true}); err != nil {
		return fmt.Errorf("try the template: %w", err)
	}
	return nil
}

func selectors(field string, list []metav1.LabelSelector) ([]labels.Selector, error) {
	var out []labels.Selector
	for i := range list {
		selector, err := metav1.LabelSelectorAsSelector(&list[i])
		if err != nil {
			return nil, fmt.Errorf("parse config: %s[%d]: %w", field, i, err)
		}
		if selector.Empty() {
			return nil, fmt.Errorf("parse config: %s[%d]: an empty selector would match every pod", field, i)
		}
		out = append(out, selector)
	}
	return out, nil
}

func parseValues(text []byte) (Values, error) {
	v := Values{
		PullPolicy: corev1.PullIfNotPresent, Concurrency: 2, LogLevel: "warning", TrustDomain: "cluster.local",
		Revision: "default", TerminationDrainDuration: "5s", MeshNamespace: "istio-system",
		CAAddress: "istio-citadel.istio-system.svc:8060", PilotAddress: "istio-pilot.istio-system.svc:15011",
	}
	if err := yaml.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("parse values: %w", err)
	}
	if v.ProxyImage == "" {
		return v, errors.New("parse values: proxyImage is not set")
	}
	if v.InitImage == "" {
		v.InitImage = v.ProxyImage
	}
	return v, nil
}

func parseTemplate(text string) (*template.Template, error) {
	t, err := template.New("sidecar").Funcs(template.FuncMap{"toJson": toJSON}).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	return t, nil
}

// toJSON prints a value on one line; every JSON text is YAML as well.
func toJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
