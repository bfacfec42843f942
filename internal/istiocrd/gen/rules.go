package main

import "google.golang.org/protobuf/reflect/protoreflect"

// rules are limits that hold for every version of the API and need no other field to check, so that they also hold while
// the admission webhook is away.
var rules = map[protoreflect.FullName]func(*schema){
	"istio.networking.v1alpha3.Percent.value":                         between(0, 100),
	"istio.networking.v1alpha3.HTTPFaultInjection.Delay.percent":      between(0, 100),
	"istio.networking.v1alpha3.HTTPRoute.mirror_percent":              between(0, 100),
	"istio.networking.v1alpha3.OutlierDetection.max_ejection_percent": between(0, 100),
	"istio.networking.v1alpha3.HTTPRouteDestination.weight":           between(0, 2147483647),
	"istio.networking.v1alpha3.RouteDestination.weight":               between(0, 2147483647),
	"istio.networking.v1alpha3.PortSelector.number":                   between(0, 65535),
	"istio.networking.v1alpha3.Port.number":                           between(0, 65535),
	"istio.networking.v1alpha3.StringMatch.regex":                     longest(1024),
	"istio.networking.v1alpha3.Destination.host":                      longest(253),
	"istio.networking.v1alpha3.DestinationRule.host":                  longest(253),
	"istio.networking.v1alpha3.Subset.name":                           longest(63),
}

func between(least, most float64) func(*schema) {
	return func(s *schema) { s.Minimum, s.Maximum = &least, &most }
}

func longest(n int64) func(*schema) {
	return func(s *schema) { s.MaxLength = &n }
}
