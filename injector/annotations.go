package injector

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// Redirect holds the flags of istio-init.
type Redirect struct {
	IncludeInboundPorts, ExcludeInboundPorts     string
	IncludeOutboundPorts, ExcludeOutboundPorts   string
	IncludeOutboundRanges, ExcludeOutboundRanges string
}

// Proxy holds the settings of one pod's sidecar.
type Proxy struct {
	LogLevel  string
	Resources corev1.ResourceRequirements
	Probes    string // ISTIO_KUBE_APP_PROBERS; empty: no probe was rewritten
	Metrics   string // ISTIO_PROMETHEUS_ANNOTATIONS; empty: the application has none
}

// options are the settings that a pod's annotations make.
type options struct {
	redirect      Redirect
	proxy         Proxy
	rewriteProbes bool
	mergeMetrics  bool
	volumes       []corev1.Volume
	mounts        []corev1.VolumeMount
	variables     []corev1.EnvVar // of the proxy
	statistics    telemetry.Statistics
	warnings      []string
}

// Annotations that bring files, such as certificates, into the sidecar.
const (
	userVolumeKey      = "sidecar.istio.io/userVolume"
	userVolumeMountKey = "sidecar.istio.io/userVolumeMount"
)

func ports(field func(*options) *string, star bool) func(*options, string) error {
	return func(o *options, text string) (err error) {
		*field(o), err = portList(text, star)
		return err
	}
}

func excludeInbound(o *options, text string) error {
	list, err := portList(text, false)
	if err == nil && list != "" {
		o.redirect.ExcludeInboundPorts = names.NeverCaptured + "," + list
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

func parseBool(text string) (bool, error) {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%.100q is neither true nor false", text)
	}
	return on, nil
}
