package envoy

import (
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networking "istio.io/api/networking/v1alpha3"
)

const faultFilterName = "envoy.filters.http.fault"

// faultFilter has no configuration of its own: routes configure it.
func faultFilter() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: faultFilterName, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&faultv3.HTTPFault{})}}
}

// faultOf is a route's configuration of the fault filter. A fault without a percentage never happens.
func faultOf(f *networking.HTTPFaultInjection) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{}
	if d := f.GetDelay(); d.GetPercentage().GetValue() > 0 && d.GetFixedDelay() != nil {
		out.Delay = &commonfaultv3.FaultDelay{
			FaultDelaySecifier: &commonfaultv3.FaultDelay_FixedDelay{FixedDelay: d.GetFixedDelay()},
			Percentage:         fractionOf(d.GetPercentage().GetValue()),
		}
	}
	if a := f.GetAbort(); a.GetPercentage().GetValue() > 0 && a.GetHttpStatus() != 0 {
		out.Abort = &faultv3.FaultAbort{
			ErrorType:  &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(a.GetHttpStatus())},
			Percentage: fractionOf(a.GetPercentage().GetValue()),
		}
	}
	if out.Delay == nil && out.Abort == nil {
		return nil
	}
	return out
}
