package agent

import (
	"encoding/json"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// decodeMessage parses the JSON form of a message of Envoy's.
func decodeMessage[M proto.Message](o object, message M) M {
	text, err := json.Marshal(o)
	if err == nil {
		err = protojson.Unmarshal(text, message)
	}
	if err != nil {
		panic(err)
	}
	return message
}

func testCluster(name string, port uint32) *clusterv3.Cluster {
	return decodeMessage(loopbackCluster(name, port), &clusterv3.Cluster{})
}

func testManager(name, path, cluster string) *hcmv3.HttpConnectionManager {
	manager := connectionManager(name, path, cluster)
	delete(manager, "@type")
	return decodeMessage(manager, &hcmv3.HttpConnectionManager{})
}

// typed packs an extension's configuration.
func typed(message proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(err)
	}
	return packed
}

// encode returns a message as Envoy sends it.
func encode(t testing.TB, message proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
