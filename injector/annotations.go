package injector

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Redirect is what istio-init is told, as its flags want it.
type Redirect struct {
	IncludeInboundPorts, ExcludeInboundPorts     string
	IncludeOutboundPorts, ExcludeOutboundPorts   string
	IncludeOutboundRanges, ExcludeOutboundRanges string
}

// Proxy is what the sidecar is told beyond the values that all share.
type Proxy struct {
	LogLevel  string
	Resources corev1.ResourceRequirements
	Probes    string // ISTIO_KUBE_APP_PROBERS; empty: no probe was rewritten
	Metrics   string // ISTIO_PROMETHEUS_ANNOTATIONS; empty: the application has none
}

// options are what a pod's annotations ask for.
type options struct {
	redirect      Redirect
	proxy         Proxy
	rewriteProbes bool
	volumes       []corev1.Volume
	mounts        []corev1.VolumeMount
	variables     []corev1.EnvVar // of the proxy
	warnings      []string
}

// Annotations that bring files, such as certificates, into the sidecar.
const (
	userVolumeKey      = "sidecar.istio.io/userVolume"
	userVolumeMountKey = "sidecar.istio.io/userVolumeMount"
)

// agentPorts are never captured: the kubelet and Prometheus reach the agent and Envoy there.
const agentPorts = "15090,15021,15020"

// honoured are the annotations that a pod may carry. They are input of a tenant: each is parsed, none is pasted.
var honoured = map[string]func(*options, string) error{
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
	"sidecar.istio.io/rewriteAppHTTPProbers":           rewriteProbers,
	userVolumeKey:                                      userVolume,
	userVolumeMountKey:                                 userVolumeMount,
	proxyConfigKey:                                     proxyConfig,
	injectKey:                                          accept,
	statusKey:                                          accept,
}

// refused are annotations that would change what runs in the sidecar, or what it protects, behind the administrator's back.
var refused = map[string]string{
	"sidecar.istio.io/proxyImage":        "the image is the administrator's choice",
	"sidecar.istio.io/proxyImageType":    "the image is the administrator's choice",
	"sidecar.istio.io/bootstrapOverride": bootstrapIsClosed,
	"sidecar.istio.io/interceptionMode":  "traffic is always captured by redirection",
	"sidecar.istio.io/discoveryAddress":  "the control plane is the administrator's choice",
	"inject.istio.io/templates":          "there is one template",
}

// readAnnotations applies what the pod asks for to the defaults of the values. A wrong or a refused annotation is an error
// that says which and why; an unknown one is only warned of.
func readAnnotations(annotations map[string]string, values Values) (options, error) {
	o := options{
		redirect:      Redirect{IncludeInboundPorts: "*", ExcludeInboundPorts: agentPorts, IncludeOutboundRanges: "*"},
		proxy:         Proxy{LogLevel: values.LogLevel, Resources: *values.Resources.DeepCopy()},
		rewriteProbes: true,
	}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if why, found := refused[name]; found {
			return o, fmt.Errorf("annotation %s is refused: %s", name, why)
		}
		if apply, found := honoured[name]; found {
			if err := apply(&o, strings.TrimSpace(annotations[name])); err != nil {
				return o, fmt.Errorf("annotation %s: %w", name, err)
			}
		} else if domain, _, _ := strings.Cut(name, "/"); domain == "sidecar.istio.io" || strings.HasSuffix(domain, ".sidecar.istio.io") {
			o.warnings = append(o.warnings, "annotation "+name+" is not supported and has no effect")
		}
	}
	return o, checkResources(o.proxy.Resources)
}

func accept(*options, string) error { return nil }

func ports(field func(*options) *string, star bool) func(*options, string) error {
	return func(o *options, text string) (err error) {
		*field(o), err = portList(text, star)
		return err
	}
}

func excludeInbound(o *options, text string) error {
	list, err := portList(text, false)
	if err == nil && list != "" {
		o.redirect.ExcludeInboundPorts = agentPorts + "," + list
	}
	return err
}

// portList returns the ports in the order they were given, once each.
func portList(text string, star bool) (string, error) {
	if text == "" || text == "*" && star {
		return text, nil
	}
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%q is not a port: 1 to 65535, separated by commas", part)
		}
		if port := strconv.FormatUint(n, 10); !slices.Contains(out, port) {
			out = append(out, port)
		}
	}
	return strings.Join(out, ","), nil
}

func ranges(field func(*options) *string, star bool) func(*options, string) error {
	return func(o *options, text string) error {
		if text == "" || text == "*" && star {
			*field(o) = text
			return nil
		}
		var out []string
		for part := range strings.SplitSeq(text, ",") {
			prefix, err := addressRange(strings.TrimSpace(part))
			if err != nil {
				return err
			}
			out = append(out, prefix)
		}
		*field(o) = strings.Join(out, ",")
		return nil
	}
}

func addressRange(text string) (string, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()).String(), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return "", fmt.Errorf("%q is not a range of addresses such as 10.0.0.0/8", text)
	}
	return prefix.Masked().String(), nil
}

func requests(r *corev1.ResourceRequirements) *corev1.ResourceList { return &r.Requests }
func limits(r *corev1.ResourceRequirements) *corev1.ResourceList   { return &r.Limits }

func quantity(list func(*corev1.ResourceRequirements) *corev1.ResourceList, name corev1.ResourceName) func(*options, string) error {
	return func(o *options, text string) error {
		q, err := resource.ParseQuantity(text)
		if err != nil || q.Sign() <= 0 {
			return fmt.Errorf("%q is not an amount such as 100m or 128Mi", text)
		}
		l := list(&o.proxy.Resources)
		if *l == nil {
			*l = corev1.ResourceList{}
		}
		(*l)[name] = q
		return nil
	}
}

// checkResources finds what the API server would refuse with a message about a container that the user did not write.
func checkResources(r corev1.ResourceRequirements) error {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := r.Requests[name], r.Limits[name]
		if _, limited := r.Limits[name]; limited && request.Cmp(limit) > 0 {
			return fmt.Errorf("the sidecar's %s request %s is more than its limit %s: set both by annotations", name, request.String(), limit.String())
		}
	}
	return nil
}

func logLevel(o *options, text string) error {
	if !slices.Contains([]string{"trace", "debug", "info", "warning", "error", "critical", "off"}, text) {
		return fmt.Errorf("%q is not a level: trace, debug, info, warning, error, critical, off", text)
	}
	o.proxy.LogLevel = text
	return nil
}

func rewriteProbers(o *options, text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	o.rewriteProbes = on
	return nil
}

// Annotations by which Prometheus finds what to scrape.
const (
	scrapeKey     = "prometheus.io/scrape"
	scrapePortKey = "prometheus.io/port"
	scrapePathKey = "prometheus.io/path"
)

// scraping returns the annotations that point Prometheus at the agent, and what the pod's own said: the agent merges the
// application's metrics, which strict mutual TLS hides from Prometheus.
func scraping(annotations map[string]string) (add map[string]string, original string, err error) {
	add = map[string]string{scrapeKey: "true", scrapePortKey: "15020", scrapePathKey: "/stats/prometheus"}
	switch annotations[scrapeKey] {
	case "":
		return add, "", nil
	case "true":
	default:
		return nil, "", nil
	}
	port := annotations[scrapePortKey]
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, "", fmt.Errorf("annotation %s: %q is not a port", scrapePortKey, port)
	}
	where := annotations[scrapePathKey]
	if where != "" {
		where = path.Clean("/" + where)
	}
	original, err = variable(struct {
		Scrape string `json:"scrape"`
		Port   string `json:"port"`
		Path   string `json:"path"`
	}{"true", port, where})
	return add, original, err
}
