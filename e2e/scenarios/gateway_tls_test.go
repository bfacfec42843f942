package scenarios

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const tlsHost = "httpbin.example.com"

const tlsGateway = "tls-gateway" // namespace of the server behind the gateway

// TestGatewayTLS opens httpbin on the ingress gateway, replaces its Gateway by one that also serves HTTPS, as the article does,
// and changes the certificate while requests are sent.
func TestGatewayTLS(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t) // its Gateway serves every host on port 80
	namespace(t, tlsGateway, injected)
	deploy(t, tlsGateway, "samples/httpbin/httpbin.yaml")
	plainGateway(t)
	deleteCredential(t) // of an interrupted run
	credential(t, 1)
	t.Cleanup(func() { deleteCredential(t) })
	applyFile(t, tlsGateway, "samples/httpbin/httpbin-gateway-tls.yaml")

	var serial atomic.Int64
	get := httpsGet(t, &serial)
	eventually(t, "httpbin answers over HTTPS", 200, get("/status/200"))
	if serial.Load() != 1 {
		t.Errorf("served certificate %d, not the first", serial.Load())
	}
	eventually(t, "another path is 404", 404, get("/headers"))

	deadline := within(t, 2*time.Minute)
	credential(t, 2)
	for sent := 1; serial.Load() != 2; sent++ {
		reply, err := get("/status/200")(deadline)
		if err != nil || reply.Status != 200 {
			t.Fatalf("request %d while the certificate changed: status %d, %v", sent, reply.Status, err)
		}
	}
	closedWithoutCredential(t, get)
}

// plainGateway opens two paths of httpbin on port 80 for one host: other paths of that host are not served, although the rule
// for every host serves one of them.
func plainGateway(t *testing.T) {
	t.Helper()
	applyFile(t, tlsGateway, "samples/httpbin/httpbin-gateway.yaml")
	for path, status := range map[string]int{"/status/200": 200, "/status/418": 418, "/delay/0": 200, "/headers": 404, "/productpage": 404} {
		eventually(t, path+" of httpbin", status, func(ctx context.Context) (lab.Reply, error) {
			return throughIngress(ctx, tlsHost, path, nil)
		})
	}
}

// closedWithoutCredential deletes the credential: its server is closed, the rest of the gateway is not affected.
func closedWithoutCredential(t *testing.T, get func(string) func(context.Context) (lab.Reply, error)) {
	t.Helper()
	deleteCredential(t)
	must(t, lab.Until(within(t, 2*time.Minute), "the port without its certificate is closed", func(ctx context.Context) error {
		if reply, err := get("/status/200")(ctx); err == nil {
			return fmt.Errorf("still answers %d", reply.Status)
		}
		return nil
	}))
	eventually(t, "plain HTTP of the same Gateway is served", 200, func(ctx context.Context) (lab.Reply, error) {
		return throughIngress(ctx, tlsHost, "/status/200", nil)
	})
}

// httpsGet returns requests that each open a connection and record the serial number of the certificate that was served.
func httpsGet(t *testing.T, serial *atomic.Int64) func(path string) func(context.Context) (lab.Reply, error) {
	url, err := ingress(within(t, 30*time.Second), "https")
	must(t, err)
	address := strings.TrimPrefix(url, "https://")
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{
			ServerName:         tlsHost,
			InsecureSkipVerify: true, // self-signed; the callback below records what was served
			VerifyConnection: func(s tls.ConnectionState) error {
				if len(s.PeerCertificates) == 0 {
					return errors.New("no certificate")
				}
				serial.Store(s.PeerCertificates[0].SerialNumber.Int64())
				return nil
			},
		},
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return func(path string) func(context.Context) (lab.Reply, error) {
		return func(ctx context.Context) (lab.Reply, error) {
			return lab.Get(ctx, lab.Request{URL: "https://" + tlsHost + path, Client: client})
		}
	}
}

// credential writes a self-signed certificate with that serial number as the gateway's Secret.
func credential(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: tlsHost}, DNSNames: []string{tlsHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "httpbin-credential"}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		"tls.crt": encodePEM("CERTIFICATE", der), "tls.key": encodePEM("PRIVATE KEY", private)}}
	secrets := mesh.Client.CoreV1().Secrets("istio-system")
	if serial == 1 {
		_, err = secrets.Create(within(t, 30*time.Second), secret, metav1.CreateOptions{})
	} else {
		_, err = secrets.Update(within(t, 30*time.Second), secret, metav1.UpdateOptions{})
	}
	must(t, err)
}

func encodePEM(kind string, der []byte) []byte {
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: kind, Bytes: der}) // writes to a Buffer do not fail
	return out.Bytes()
}

func deleteCredential(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*30*time.Second)
	defer cancel()
	err := mesh.Client.CoreV1().Secrets("istio-system").Delete(ctx, "httpbin-credential", metav1.DeleteOptions{})
	if err != nil && !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
}
