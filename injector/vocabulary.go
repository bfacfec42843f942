package injector

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// Every annotation and label that Istio defines for pods (istio.io/api/annotation, istio.io/api/label) is in one of these
// tables: it is obeyed, it is refused, or a warning says that it has no effect and what to use instead.

// obeyedAnnotations set options. A pod's author is not trusted: each value is parsed, none is copied as text.
var obeyedAnnotations = map[string]func(*options, string) error{
	"traffic.sidecar.istio.io/includeInboundPorts":     ports(func(o *options) *string { return &o.redirect.IncludeInboundPorts }, true),
	"traffic.sidecar.istio.io/excludeInboundPorts":     excludeInbound,
	"traffic.sidecar.istio.io/includeOutboundPorts":    ports(func(o *options) *string { return &o.redirect.IncludeOutboundPorts }, false),
	"traffic.sidecar.istio.io/excludeOutboundPorts":    ports(func(o *options) *string { return &o.redirect.ExcludeOutboundPorts }, false),
	"traffic.sidecar.istio.io/includeOutboundIPRanges": ranges(func(o *options) *string { return &o.redirect.IncludeOutboundRanges }, true),
	"traffic.sidecar.istio.io/excludeOutboundIPRanges": ranges(func(o *options) *string { return &o.redirect.ExcludeOutboundRanges }, false),
	"sidecar.istio.io/proxyCPU":                        quantity(requests, corev1.ResourceCPU),
	"sidecar.istio.io/proxyMemory":                     quantity(requests, corev1.ResourceMemory),
	"sidecar.istio.io/proxyCPULimit":                   quantity(limits, corev1.ResourceCPU),
	"sidecar.istio.io/proxyMemoryLimit":                quantity(limits, corev1.ResourceMemory),
	"sidecar.istio.io/logLevel":                        logLevel,
	"sidecar.istio.io/rewriteAppHTTPProbers":           boolean(func(o *options) *bool { return &o.rewriteProbes }),
	"sidecar.istio.io/interceptionMode":                only("REDIRECT", "traffic is always captured by redirection"),
	"inject.istio.io/templates":                        only("sidecar", "there is one template"),
	"status.sidecar.istio.io/port":                     only("15020", "the agent listens there in every pod"),
	"prometheus.istio.io/merge-metrics":                boolean(func(o *options) *bool { return &o.mergeMetrics }),
	"sidecar.istio.io/nativeSidecar":                   nativeSidecar,
	"sidecar.istio.io/statsInclusionPrefixes":          statistics(func(s *telemetry.Statistics) *[]string { return &s.Prefixes }),
	"sidecar.istio.io/statsInclusionSuffixes":          statistics(func(s *telemetry.Statistics) *[]string { return &s.Suffixes }),
	"sidecar.istio.io/statsInclusionRegexps":           statistics(func(s *telemetry.Statistics) *[]string { return &s.Regexps }),
	userVolumeKey:                                      userVolume,
	userVolumeMountKey:                                 userVolumeMount,
	proxyConfigKey:                                     proxyConfig,
	injectKey:                                          accept,
	statusKey:                                          accept,
	revisionLabel:                                      accept, // Istio writes it on injected pods
}

// refusedAnnotations would change what runs in the sidecar, or what it protects, without the administrator's consent.
var refusedAnnotations = map[string]string{
	"sidecar.istio.io/proxyImage":        "the image is the administrator's choice",
	"sidecar.istio.io/proxyImageType":    "the image is the administrator's choice",
	"sidecar.istio.io/bootstrapOverride": bootstrapIsClosed,
	"sidecar.istio.io/discoveryAddress":  "the control plane is the administrator's choice",
}

const (
	noAmbient     = "there is no ambient mode"
	sidecarProbe  = "the sidecar has the same probes in every pod"
	allInterfaces = "traffic is captured by port and address, on every interface: excludeInboundPorts and excludeOutboundIPRanges make exceptions"
	oneNetwork    = "the mesh is one cluster and one network"
)

// ignoredAnnotations have no effect, for a reason.
var ignoredAnnotations = map[string]string{
	"ambient.istio.io/bypass-inbound-capture":               noAmbient,
	"ambient.istio.io/dns-capture":                          noAmbient,
	"ambient.istio.io/redirection":                          noAmbient,
	"galley.istio.io/analyze-suppress":                      "what is reported has no codes to suppress it by",
	"gateway.istio.io/controller-version":                   "gateways are created by the Installation",
	"istio.io/reroute-virtual-interfaces":                   allInterfaces,
	"traffic.sidecar.istio.io/kubevirtInterfaces":           allInterfaces,
	"traffic.sidecar.istio.io/excludeInterfaces":            allInterfaces,
	"prometheus.istio.io/scrape-targets":                    "one page of the application is merged: name it by " + scrapePortKey + " and " + scrapePathKey,
	"proxy.istio.io/overrides":                              "Istio's injector writes it for itself; a container " + proxyName + " in the pod changes the sidecar",
	"readiness.status.sidecar.istio.io/applicationPorts":    sidecarProbe,
	"readiness.status.sidecar.istio.io/failureThreshold":    sidecarProbe,
	"readiness.status.sidecar.istio.io/initialDelaySeconds": sidecarProbe,
	"readiness.status.sidecar.istio.io/periodSeconds":       sidecarProbe,
	"sidecar.istio.io/agentLogLevel":                        "the agent has one log level; sidecar.istio.io/logLevel sets Envoy's",
	"sidecar.istio.io/componentLogLevel":                    "sidecar.istio.io/logLevel sets one level for all components",
	"sidecar.istio.io/extraStatTags":                        choosesMetrics,
	"sidecar.istio.io/statsCompression":                     choosesMetrics,
	"sidecar.istio.io/statsEvictionInterval":                choosesMetrics,
	"sidecar.istio.io/statsFlushInterval":                   scrapesMetrics,
	"sidecar.istio.io/statsHistogramBins":                   choosesMetrics,
	"sidecar.istio.io/statsHistogramBuckets":                choosesMetrics,
}

// obeyedLabels have an effect here, in citadel or in pilot.
var obeyedLabels = []string{
	injectKey, revisionLabel, "security.istio.io/tlsMode",
	"service.istio.io/canonical-name", "service.istio.io/canonical-revision", "service.istio.io/workload-name",
	"operator.istio.io/component", "operator.istio.io/managed", "operator.istio.io/version", // marks of an operator, without a meaning
}

// ignoredLabels have no effect, for a reason. One with the value none asks for nothing.
var ignoredLabels = map[string]string{
	"istio.io/dataplane-mode":         noAmbient,
	"istio.io/use-waypoint":           noAmbient,
	"istio.io/use-waypoint-namespace": noAmbient,
	"topology.istio.io/cluster":       oneNetwork,
	"topology.istio.io/network":       oneNetwork,
	"topology.istio.io/locality":      "the locality is the node's",
}

// readAnnotations applies a pod's annotations to the defaults of the values. An invalid or refused annotation is an error that
// says which and why; one without effect is a warning.
func readAnnotations(annotations map[string]string, values Values) (options, error) {
	o := options{
		redirect:      Redirect{IncludeInboundPorts: "*", ExcludeInboundPorts: names.NeverCaptured, IncludeOutboundRanges: "*"},
		proxy:         Proxy{LogLevel: values.LogLevel, Resources: *values.Resources.DeepCopy()},
		rewriteProbes: true,
		mergeMetrics:  true,
	}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if why, found := refusedAnnotations[name]; found {
			return o, fmt.Errorf("annotation %s is refused: %s", name, why)
		}
		if apply, found := obeyedAnnotations[name]; found {
			if err := apply(&o, strings.TrimSpace(annotations[name])); err != nil {
				return o, fmt.Errorf("annotation %s: %w", name, err)
			}
			continue
		}
		o.warnIgnored("annotation", name, ignoredAnnotations[name])
	}
	if err := o.setStatistics(); err != nil {
		return o, err
	}
	return o, checkResources(o.proxy.Resources)
}

// readLabels adds warnings for the labels of Istio that have no effect.
func (o *options) readLabels(labels map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !slices.Contains(obeyedLabels, name) && labels[name] != "none" {
			o.warnIgnored("label", name, ignoredLabels[name])
		}
	}
}

// warnIgnored warns about an annotation or label without effect. Without a reason it does so only within Istio's domain.
func (o *options) warnIgnored(what, name, reason string) {
	if reason != "" {
		o.warnings = append(o.warnings, fmt.Sprintf("%s %s has no effect: %s", what, name, reason))
		return
	}
	domain, _, found := strings.Cut(name, "/")
	if found && (domain == "istio.io" || strings.HasSuffix(domain, ".istio.io")) {
		o.warnings = append(o.warnings, fmt.Sprintf("%s %s is not supported on a pod and has no effect", what, name))
	}
}

func accept(*options, string) error { return nil }

// only accepts the one value that holds in every pod.
func only(value, reason string) func(*options, string) error {
	return func(_ *options, text string) error {
		if text != value {
			return fmt.Errorf("%.100q is refused: %s: leave it out or write %s", text, reason, value)
		}
		return nil
	}
}

func boolean(field func(*options) *bool) func(*options, string) error {
	return func(o *options, text string) (err error) {
		*field(o), err = parseBool(text)
		return err
	}
}

func nativeSidecar(o *options, text string) error {
	on, err := parseBool(text)
	if err == nil && !on {
		o.warnings = append(o.warnings, "annotation sidecar.istio.io/nativeSidecar: false has no effect: the sidecar is a native one")
	}
	return err
}
