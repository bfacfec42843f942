package main

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// oldSpellings are fields of Istio 0.8 to 1.1 that istio.io/api no longer has. The control plane reads each as what took
// its place (internal/istioconfig).
var oldSpellings = map[protoreflect.FullName]map[string]schema{
	"istio.networking.v1alpha3.HTTPRoute": {
		"appendHeaders":         old("headers.request.add", stringMap),
		"appendRequestHeaders":  old("headers.request.add", stringMap),
		"removeRequestHeaders":  old("headers.request.remove", stringList),
		"appendResponseHeaders": old("headers.response.add", stringMap),
		"removeResponseHeaders": old("headers.response.remove", stringList),
		"websocketUpgrade":      old("nothing: upgrades to WebSocket are always allowed", schema{Type: "boolean"}),
	},
	"istio.networking.v1alpha3.HTTPRouteDestination": {
		"appendRequestHeaders":  old("headers.request.add", stringMap),
		"removeRequestHeaders":  old("headers.request.remove", stringList),
		"appendResponseHeaders": old("headers.response.add", stringMap),
		"removeResponseHeaders": old("headers.response.remove", stringList),
	},
	"istio.networking.v1alpha3.HTTPFaultInjection.Abort": {
		"percent": old("percentage.value", schema{Type: "integer", Minimum: new(0.0), Maximum: new(100.0)}),
	},
	"istio.networking.v1alpha3.PortSelector": {
		"name": old("number", schema{Type: "string"}),
	},
	"istio.networking.v1alpha3.TLSMatchAttributes": {
		"sourceSubnet": old("nothing", schema{Type: "string"}),
	},
	"istio.networking.v1alpha3.OutlierDetection": {
		"http": old("the fields beside it", schema{Type: "object", Properties: map[string]schema{
			"consecutiveErrors":  {Type: "integer", Format: "int32", Minimum: new(0.0)},
			"interval":           duration,
			"baseEjectionTime":   duration,
			"maxEjectionPercent": {Type: "integer", Format: "int32", Minimum: new(0.0), Maximum: new(100.0)},
		}}),
	},
}

var (
	stringMap = schema{Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{
		Allows: true, Schema: &schema{Type: "string"},
	}}
	stringList  = schema{Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &schema{Type: "string"}}}
	duration, _ = wellKnownSchema("google.protobuf.Duration")
)

func old(now string, s schema) schema {
	s.Description = "An old spelling, read as " + now + "."
	return s
}
