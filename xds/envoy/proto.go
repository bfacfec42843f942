package envoy

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// pack wraps an extension's configuration. It cannot fail for a message that was built here; what a user wrote is valid
// UTF-8 because protojson refuses the rest.
func pack(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(failure{"an extension cannot be encoded: " + err.Error()})
	}
	return a
}

func seconds(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }

func yes() *wrapperspb.BoolValue { return wrapperspb.Bool(true) }

func socketAddress(address string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// adsSource fetches a resource over the proxy's ADS stream. A zero timeout waits for ever.
func adsSource(timeout *durationpb.Duration) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   timeout,
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// fractionOf turns a percentage with decimals into Envoy's fraction.
func fractionOf(percent float64) *typev3.FractionalPercent {
	n := uint32(min(max(percent, 0), 100) * 10000)
	return &typev3.FractionalPercent{Numerator: n, Denominator: typev3.FractionalPercent_MILLION}
}
