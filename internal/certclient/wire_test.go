package certclient

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	securityv1alpha1 "istio.io/api/security/v1alpha1"
)

// TestEncodeRequest compares the encoded request with Istio's own type.
func TestEncodeRequest(t *testing.T) {
	for _, ttl := range []time.Duration{0, 36 * time.Hour} {
		want := &securityv1alpha1.IstioCertificateRequest{Csr: "csr", ValidityDuration: int64(ttl / time.Second)}
		var got securityv1alpha1.IstioCertificateRequest
		if err := proto.Unmarshal(encodeRequest("csr", ttl), &got); err != nil || !proto.Equal(want, &got) {
			t.Errorf("%v, got %v, want %v", err, &got, want)
		}
	}
}

// FuzzDecodeResponse: the chain that Istio's own type reads from a message is the one that the client reads.
func FuzzDecodeResponse(f *testing.F) {
	data, err := proto.Marshal(&securityv1alpha1.IstioCertificateResponse{CertChain: []string{"leaf", "root"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x0a, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeResponse(data)
		var want securityv1alpha1.IstioCertificateResponse
		if proto.Unmarshal(data, &want) != nil {
			return
		}
		if err != nil || !slices.Equal(got, want.CertChain) {
			t.Errorf("%v, got %q, want %q", err, got, want.CertChain)
		}
	})
}
