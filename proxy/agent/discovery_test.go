package agent

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestEncodeSecrets compares the encoded response with Envoy's own types.
func TestEncodeSecrets(t *testing.T) {
	bytes := func(text string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte(text)}}
	}
	secrets := []*tlsv3.Secret{
		{Name: "default", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: bytes("chain"), PrivateKey: bytes("key")}}},
		{Name: "ROOTCA", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: bytes("roots")}}},
		{Name: "revoked", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: bytes("roots"), Crl: bytes("crl")}}},
	}
	want := &discoveryv3.DiscoveryResponse{VersionInfo: "1", TypeUrl: secretType, Nonce: "2"}
	for _, s := range secrets {
		want.Resources = append(want.Resources, typed(s))
	}
	response := discoveryResponse{version: "1", typeURL: secretType, nonce: "2", resources: [][]byte{
		pairSecret("default", []byte("chain"), []byte("key")).body,
		validationSecret("ROOTCA", []byte("roots"), nil).body,
		validationSecret("revoked", []byte("roots"), []byte("crl")).body,
	}}
	var got discoveryv3.DiscoveryResponse
	if err := proto.Unmarshal(response.encode(), &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, &got) {
		t.Errorf("got %v, want %v", &got, want)
	}
	for i, packed := range got.Resources {
		var s tlsv3.Secret
		if err := packed.UnmarshalTo(&s); err != nil || !proto.Equal(&s, secrets[i]) {
			t.Errorf("secret %d is %v, %v", i, &s, err)
		}
	}
}

// FuzzParseDiscoveryRequest: what Envoy's own types read from a message, the agent reads too, and neither panics.
func FuzzParseDiscoveryRequest(f *testing.F) {
	rejected := &statusv3.Status{Code: 3, Message: "bad key", Details: []*anypb.Any{{TypeUrl: "x"}}}
	f.Add(encode(f, &discoveryv3.DiscoveryRequest{
		VersionInfo: "1", Node: &corev3.Node{Id: "n"}, ResourceNames: []string{"default", "ROOTCA"}, TypeUrl: secretType, ResponseNonce: "2", ErrorDetail: rejected,
	}))
	f.Add(encode(f, &discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "n"}, TypeUrl: clusterType, ResourceNamesSubscribe: []string{"a"}, InitialResourceVersions: map[string]string{"a": "1"},
		ResponseNonce: "2", ErrorDetail: rejected,
	}))
	f.Add([]byte{0x1a, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		state, stateErr := parseDiscoveryRequest(data)
		delta, deltaErr := parseDeltaRejection(data)
		var s discoveryv3.DiscoveryRequest
		if proto.Unmarshal(data, &s) == nil {
			want := discoveryRequest{names: s.ResourceNames, typeURL: s.TypeUrl, nonce: s.ResponseNonce, rejection: s.ErrorDetail.GetMessage()}
			if diff := cmp.Diff(want, state, cmp.AllowUnexported(discoveryRequest{})); stateErr != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", stateErr, diff)
			}
		}
		var d discoveryv3.DeltaDiscoveryRequest
		if proto.Unmarshal(data, &d) == nil {
			if want := (deltaRejection{d.TypeUrl, d.ResponseNonce, d.ErrorDetail.GetMessage()}); deltaErr != nil || delta != want {
				t.Errorf("%v, got %+v, want %+v", deltaErr, delta, want)
			}
		}
	})
}
