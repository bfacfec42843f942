package envoy

import (
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// safeToRetry are the failures after which the server has not processed the request.
const safeToRetry = "connect-failure,refused-stream,reset-before-request,unavailable,cancelled"

// defaultRetries is for routes without retries.
func defaultRetries() *routev3.RetryPolicy { return retries(istioconfig.DefaultRetries, safeToRetry) }

// retries never uses the same endpoint twice while there are others.
func retries(attempts uint32, on string) *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryOn:    on,
		NumRetries: wrapperspb.UInt32(attempts),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previoushostsv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}
}

// retriesOf translates a route's retries; zero attempts mean none.
func retriesOf(r *networking.HTTPRetry) *routev3.RetryPolicy {
	if r == nil {
		return defaultRetries()
	}
	if r.GetAttempts() <= 0 {
		return nil
	}
	on, codes := retryOn(r.GetRetryOn())
	policy := retries(uint32(r.GetAttempts()), on)
	policy.RetriableStatusCodes = codes
	if t := r.GetPerTryTimeout(); t.AsDuration() > 0 {
		policy.PerTryTimeout = t
	}
	return policy
}

// retryOn separates status codes from the names of conditions, which Envoy has in separate fields.
func retryOn(list string) (string, []uint32) {
	if list == "" {
		return safeToRetry, nil
	}
	var names []string
	var codes []uint32
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if code, err := strconv.ParseUint(name, 10, 32); err == nil {
			codes = append(codes, uint32(code))
		} else if name != "" {
			names = append(names, name)
		}
	}
	if len(codes) > 0 && !slices.Contains(names, "retriable-status-codes") {
		names = append(names, "retriable-status-codes")
	}
	return strings.Join(names, ","), codes
}
