package istioconfig

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// supported is what the translator expresses: the fields of each message, by their JSON names. A field that is set and not
// listed is refused, so a field that a newer istio.io/api adds is refused until somebody writes its translation and its
// name here. A message that is not listed is translated whole.
var supported = map[protoreflect.FullName]string{
	"istio.networking.v1alpha3.VirtualService":                      "hosts gateways http exportTo",
	"istio.networking.v1alpha3.HTTPRoute":                           "name match route redirect rewrite timeout retries fault mirror mirrorPercentage",
	"istio.networking.v1alpha3.HTTPMatchRequest":                    "name uri method authority headers sourceLabels gateways ignoreUriCase",
	"istio.networking.v1alpha3.HTTPRouteDestination":                "destination weight",
	"istio.networking.v1alpha3.HTTPRedirect":                        "uri authority scheme port redirectCode",
	"istio.networking.v1alpha3.HTTPRewrite":                         "uri authority",
	"istio.networking.v1alpha3.HTTPRetry":                           "attempts perTryTimeout retryOn",
	"istio.networking.v1alpha3.HTTPFaultInjection.Delay":            "percentage fixedDelay",
	"istio.networking.v1alpha3.HTTPFaultInjection.Abort":            "percentage httpStatus",
	"istio.networking.v1alpha3.DestinationRule":                     "host trafficPolicy subsets exportTo",
	"istio.networking.v1alpha3.TrafficPolicy":                       "loadBalancer connectionPool outlierDetection tls portLevelSettings",
	"istio.networking.v1alpha3.LoadBalancerSettings":                "simple",
	"istio.networking.v1alpha3.ClientTLSSettings":                   "mode clientCertificate privateKey caCertificates caCrl credentialName sni subjectAltNames insecureSkipVerify",
	"istio.networking.v1alpha3.OutlierDetection":                    "consecutive5xxErrors consecutiveGatewayErrors consecutiveLocalOriginFailures splitExternalLocalOriginErrors interval baseEjectionTime maxEjectionPercent minHealthPercent",
	"istio.networking.v1alpha3.Gateway":                             "servers selector",
	"istio.networking.v1alpha3.Server":                              "port hosts tls name",
	"istio.networking.v1alpha3.Port":                                "number protocol name",
	"istio.networking.v1alpha3.ServerTLSSettings":                   "httpsRedirect mode credentialName",
	"istio.networking.v1alpha3.ConnectionPoolSettings":              "tcp http",
	"istio.networking.v1alpha3.TrafficPolicy.PortTrafficPolicy":     "port loadBalancer connectionPool outlierDetection tls",
	"istio.networking.v1alpha3.ConnectionPoolSettings.TCPSettings":  "maxConnections connectTimeout tcpKeepalive",
	"istio.networking.v1alpha3.ConnectionPoolSettings.HTTPSettings": "http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout",
	"istio.networking.v1alpha3.ServiceEntry":                        "hosts addresses ports location resolution endpoints exportTo",
	"istio.networking.v1alpha3.WorkloadEntry":                       "address ports labels weight serviceAccount",
	"istio.telemetry.v1alpha1.Telemetry":                            "selector accessLogging metrics tracing",
	"istio.telemetry.v1alpha1.AccessLogging":                        "match providers disabled filter",
	"istio.telemetry.v1alpha1.Metrics":                              "providers overrides",
	"istio.telemetry.v1alpha1.MetricSelector":                       "metric mode",
	"istio.telemetry.v1alpha1.Tracing":                              "match providers randomSamplingPercentage disableSpanReporting customTags",
	"istio.telemetry.v1alpha1.Tracing.CustomTag":                    "literal environment header",
}

// unsupportedValues are enum values that the translator does not express, by their full names.
var unsupportedValues = []protoreflect.FullName{
	"istio.telemetry.v1alpha1.MetricSelector.GRPC_REQUEST_MESSAGES",
	"istio.telemetry.v1alpha1.MetricSelector.GRPC_RESPONSE_MESSAGES",
	"istio.networking.v1alpha3.LoadBalancerSettings.PASSTHROUGH",
	"istio.networking.v1alpha3.ServerTLSSettings.PASSTHROUGH",
	"istio.networking.v1alpha3.ServerTLSSettings.AUTO_PASSTHROUGH",
	"istio.networking.v1alpha3.ServerTLSSettings.ISTIO_MUTUAL",
	"istio.networking.v1alpha3.ServerTLSSettings.OPTIONAL_MUTUAL",
	"istio.networking.v1alpha3.ServiceEntry.DYNAMIC_DNS",
}

// alternatives is the way out for the refused fields and values that people are most likely to bring along, by their names; what is
// for one message alone has that one's name before it.
var alternatives = map[string]string{
	"ServiceEntry.workloadSelector": "list the addresses in endpoints, or write a Service",
	"ServiceEntry.subjectAltNames":  "set them in tls.subjectAltNames of a DestinationRule for the host",
	"WorkloadEntry.network":         "remove it: every address is reached directly",
	"WorkloadEntry.locality":        "remove it: endpoints of all zones are used alike",
	"DYNAMIC_DNS":                   "use DNS and name the hosts, or NONE",

	"serverCertificate":            "create a kubernetes.io/tls Secret beside the gateway's pods and name it in credentialName",
	"consistentHash":               "use simple: LEAST_REQUEST, ROUND_ROBIN or RANDOM",
	"delegate":                     "write the delegate's routes in this VirtualService",
	"corsPolicy":                   "answer CORS requests in the application",
	"headers":                      "set the headers in the application",
	"tcp":                          "remove it: TCP is forwarded to the service it was sent to",
	"tls":                          "remove it: TLS is forwarded to the service it was sent to",
	"exponentialDelay":             "use fixedDelay",
	"grpcStatus":                   "use httpStatus",
	"directResponse":               "route to a service that gives the answer",
	"uriRegexRewrite":              "use uri, with a match on a prefix",
	"localityLbSetting":            "remove it: endpoints of all zones are used alike",
	"workloadSelector":             "leave it out: the rule holds for every workload that sees it; certificates of sidecars come from mounted files",
	"targetRef":                    "use selector",
	"targetRefs":                   "use selector",
	"reportingInterval":            "remove it: bytes of a TCP connection are counted when it ends",
	"customMetric":                 "use metric",
	"formatter":                    "use literal, environment or header",
	"useRequestIdForTraceSampling": "remove it: x-request-id carries the decision",
	"enableIstioTags":              "remove it: spans always have Istio's tags",
	"disableContextPropagation":    "remove it, or set disableSpanReporting: true",
	"warmupDurationSecs":           "remove it: new endpoints get their full share at once",
}

// unsupported lists what a message sets beyond the supported fields, in the order of the fields.
func unsupported(m proto.Message) []Problem {
	var problems []Problem
	walk(m.ProtoReflect(), "spec", &problems)
	return problems
}

func walk(m protoreflect.Message, path string, problems *[]Problem) {
	list, limited := supported[m.Descriptor().FullName()]
	names := strings.Fields(list)
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		at := path + "." + field.JSONName()
		if limited && !slices.Contains(names, field.JSONName()) {
			*problems = append(*problems, Problem{at, "not supported yet", alternativeTo(field)})
			continue
		}
		walkField(field, m.Get(field), at, problems)
	}
}

func alternativeTo(field protoreflect.FieldDescriptor) string {
	if text, ok := alternatives[string(field.ContainingMessage().Name())+"."+field.JSONName()]; ok {
		return text
	}
	return alternatives[field.JSONName()]
}

func walkField(field protoreflect.FieldDescriptor, value protoreflect.Value, path string, problems *[]Problem) {
	switch {
	case field.IsList():
		for i := range value.List().Len() {
			walkValue(field, value.List().Get(i), fmt.Sprintf("%s[%d]", path, i), problems)
		}
	case field.IsMap():
		walkMap(field.MapValue(), value.Map(), path, problems)
	default:
		walkValue(field, value, path, problems)
	}
}

func walkMap(field protoreflect.FieldDescriptor, m protoreflect.Map, path string, problems *[]Problem) {
	var keys []protoreflect.MapKey
	m.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		walkValue(field, m.Get(key), fmt.Sprintf("%s[%s]", path, key), problems)
	}
}

func walkValue(field protoreflect.FieldDescriptor, value protoreflect.Value, path string, problems *[]Problem) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		walk(value.Message(), path, problems)
	case protoreflect.EnumKind:
		known := field.Enum().Values().ByNumber(value.Enum())
		if known == nil {
			*problems = append(*problems, Problem{path, fmt.Sprintf("%d is not a known value", value.Enum()), ""})
		} else if slices.Contains(unsupportedValues, enumName(field.Enum(), known)) {
			*problems = append(*problems, Problem{path, fmt.Sprintf("%s is not supported yet", known.Name()), alternatives[string(known.Name())]})
		}
	default: // scalars have no parts
	}
}

// enumName is the value's name below the enum's message; protobuf scopes values beside their enum.
func enumName(enum protoreflect.EnumDescriptor, value protoreflect.EnumValueDescriptor) protoreflect.FullName {
	return enum.Parent().FullName().Append(value.Name())
}

// Supports reports whether the translator expresses a field.
func Supports(field protoreflect.FieldDescriptor) bool {
	list, limited := supported[field.ContainingMessage().FullName()]
	return !limited || slices.Contains(strings.Fields(list), field.JSONName())
}
