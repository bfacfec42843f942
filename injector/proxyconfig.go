package injector

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

const (
	proxyConfigKey   = "proxy.istio.io/config"
	proxyConfigLimit = 16 << 10
)

// Every field of Istio's ProxyConfig is in one of three tables: it is obeyed, it is refused, or its author gets a warning
// that it has no effect here and which setting has. None is ignored in silence.
var (
	obeyedFields = map[string]func(*options, *meshv1alpha1.ProxyConfig) error{
		"concurrency": func(o *options, c *meshv1alpha1.ProxyConfig) error {
			return o.setVariable("concurrency", "PROXY_CONCURRENCY", strconv.Itoa(int(c.Concurrency.GetValue())))
		},
		"terminationDrainDuration": func(o *options, c *meshv1alpha1.ProxyConfig) error {
			return o.setDuration("terminationDrainDuration", "TERMINATION_DRAIN_DURATION", c.TerminationDrainDuration)
		},
		"drainDuration": func(o *options, c *meshv1alpha1.ProxyConfig) error {
			return o.setDuration("drainDuration", "DRAIN_DURATION", c.DrainDuration)
		},
		"holdApplicationUntilProxyStarts": func(o *options, c *meshv1alpha1.ProxyConfig) error {
			if !c.HoldApplicationUntilProxyStarts.GetValue() {
				o.ignored("holdApplicationUntilProxyStarts: false", "the sidecar is a native one, which always starts before the application")
			}
			return nil
		},
		"proxyMetadata": proxyMetadata,
		"proxyStatsMatcher": func(o *options, c *meshv1alpha1.ProxyConfig) error {
			m := c.ProxyStatsMatcher
			return o.includeStatistics(telemetry.Statistics{
				Prefixes: m.InclusionPrefixes, Suffixes: m.InclusionSuffixes, Regexps: m.InclusionRegexps,
			})
		},
		"statusPort": func(_ *options, c *meshv1alpha1.ProxyConfig) error {
			return fixed("statusPort", c.StatusPort, 15020)
		},
		"proxyAdminPort": func(_ *options, c *meshv1alpha1.ProxyConfig) error {
			return fixed("proxyAdminPort", c.ProxyAdminPort, 15000)
		},
		"controlPlaneAuthPolicy": func(_ *options, c *meshv1alpha1.ProxyConfig) error {
			return fixed("controlPlaneAuthPolicy", c.ControlPlaneAuthPolicy, meshv1alpha1.AuthenticationPolicy_MUTUAL_TLS)
		},
		"interceptionMode": func(_ *options, c *meshv1alpha1.ProxyConfig) error {
			return fixed("interceptionMode", c.InterceptionMode, meshv1alpha1.ProxyConfig_REDIRECT)
		},
	}
	refusedFields = map[string]string{
		"discoveryAddress":           "the control plane is the administrator's choice",
		"image":                      "the image is the administrator's choice",
		"binaryPath":                 "the image is the administrator's choice",
		"configPath":                 bootstrapIsClosed,
		"customConfigFile":           bootstrapIsClosed,
		"proxyBootstrapTemplatePath": bootstrapIsClosed,
		"runtimeValues":              bootstrapIsClosed,
		"caCertificatesPem":          "whom proxies trust is the administrator's choice; caCertificates of a DestinationRule names the authority of one server",
		"privateKeyProvider":         "private keys are made and kept in memory",
		"sds":                        "the service account's token is read where the injector mounts it",
	}
	ignoredFields = map[string]string{
		"tracing":                    tracesRequests,
		"tracingServiceName":         tracesRequests,
		"zipkinAddress":              tracesRequests,
		"extraStatTags":              choosesMetrics,
		"statNameLength":             choosesMetrics,
		"statsCompression":           choosesMetrics,
		"statsdUdpAddress":           scrapesMetrics,
		"envoyMetricsService":        scrapesMetrics,
		"envoyMetricsServiceAddress": scrapesMetrics,
		"envoyAccessLogService":      "access logs go to the proxy's standard output",
		"fileFlushInterval":          "access logs are written every second",
		"fileFlushMinSizeKb":         "access logs are written every second",
		"gatewayTopology":            "it is about gateways, which the Installation creates",
		"readinessProbe":             "it is about virtual machines; a pod's containers have probes",
		"proxyHeaders":               "headers of the proxy are the same for all pods; headers in a route of a VirtualService sets and removes others",
		"connectionSettings":         "trafficPolicy.connectionPool of a DestinationRule limits connections",
		"discoveryRefreshDelay":      "changes are pushed as they come",
		"meshId":                     "there is one mesh",
		"serviceCluster":             "the name is taken from the workload; label service.istio.io/canonical-name sets another one",
		"availabilityZone":           "the zone is the node's",
	}
)

const (
	tracesRequests    = "spec.telemetry.tracing and spec.jaeger of the Installation set tracing up for all pods"
	bootstrapIsClosed = "the proxy's bootstrap is not open to change"
	choosesMetrics    = "metrics are on port 15020; sidecar.istio.io/statsInclusionPrefixes, -Suffixes and -Regexps add statistics of Envoy to them"
	scrapesMetrics    = "metrics are on port 15020, /stats/prometheus, for whoever scrapes them"
)

// proxyConfig reads the annotation that Istio's users set a proxy up with, in YAML or JSON.
func proxyConfig(o *options, text string) error {
	c, err := parseProxyConfig(text)
	if err != nil {
		return err
	}
	set := map[string]bool{}
	c.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		set[field.JSONName()] = true
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if obey := obeyedFields[name]; obey != nil {
			if err := obey(o, c); err != nil {
				return err
			}
			continue
		}
		if why := refusedFields[name]; why != "" {
			return fmt.Errorf("%s is refused: %s", name, why)
		}
		o.ignored(name, ignoredFields[name])
	}
	return nil
}

func parseProxyConfig(text string) (*meshv1alpha1.ProxyConfig, error) {
	if len(text) > proxyConfigLimit {
		return nil, fmt.Errorf("is larger than %d KiB", proxyConfigLimit>>10)
	}
	object, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " ")) // it has several lines
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(object, &values); err != nil {
		return nil, errors.New("is not an object, such as concurrency: 2")
	}
	c := &meshv1alpha1.ProxyConfig{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := parseField(c.ProtoReflect(), key, values[key]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// parseField reads one field, in either of the spellings that Istio takes, so that an error can name it.
func parseField(c protoreflect.Message, key string, value json.RawMessage) error {
	fields := c.Descriptor().Fields()
	field := fields.ByJSONName(key)
	if field == nil {
		field = fields.ByTextName(key)
	}
	switch {
	case field == nil:
		return fmt.Errorf("%.100q is no field of Istio's ProxyConfig", key)
	case c.Has(field):
		return fmt.Errorf("%s is there twice", field.JSONName())
	}
	object, err := json.Marshal(map[string]json.RawMessage{key: value})
	if err != nil {
		return err
	}
	one := &meshv1alpha1.ProxyConfig{}
	if protojson.Unmarshal(object, one) != nil {
		return fmt.Errorf("%s: %.100s is no value for it%s", field.JSONName(), value, example(field))
	}
	proto.Merge(c.Interface(), one)
	return nil
}

// example shows how a value is written, where people get it wrong.
func example(field protoreflect.FieldDescriptor) string {
	if m := field.Message(); m != nil && m.FullName() == (&durationpb.Duration{}).ProtoReflect().Descriptor().FullName() {
		return ": write a duration in seconds, such as 5s"
	}
	return ""
}

// proxyMetadata are variables of Istio's proxy; here a few have a meaning.
func proxyMetadata(o *options, c *meshv1alpha1.ProxyConfig) error {
	for _, name := range slices.Sorted(maps.Keys(c.ProxyMetadata)) {
		if _, known := variables[name]; !known {
			o.ignored("proxyMetadata."+name, "what may be set is "+strings.Join(slices.Sorted(maps.Keys(variables)), ", "))
			continue
		}
		if err := o.setVariable("proxyMetadata."+name, name, c.ProxyMetadata[name]); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) setDuration(field, variable string, d *durationpb.Duration) error {
	return o.setVariable(field, variable, d.AsDuration().String())
}

func (o *options) setVariable(field, variable, value string) error {
	if v := variables[variable]; !v.valid(value) {
		return fmt.Errorf("%s: %.100q is not %s", field, value, v.want)
	}
	o.variables = append(o.variables, corev1.EnvVar{Name: variable, Value: value})
	return nil
}

// ignored warns about a field that has no effect.
func (o *options) ignored(field, why string) {
	o.warnings = append(o.warnings, fmt.Sprintf("annotation %s: %.100s has no effect: %s", proxyConfigKey, field, why))
}

// fixed lets a field say what is true anyway.
func fixed[T comparable](field string, value, want T) error {
	if value != want {
		return fmt.Errorf("%s is refused: it is %v in every pod", field, want)
	}
	return nil
}
