package scenarios

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const (
	bank        = "bank"         // namespace of a server that requires certificates, without sidecars
	bankClients = "bank-clients" // namespace of its clients, with sidecars
	bankURL     = "http://bank.bank/tls"
	bankName    = "bank.example.com"
)

// TestMutualTLSOrigination calls a server outside of the mesh that requires a client certificate. The application sends plain
// HTTP; its sidecar presents the certificate that is mounted into it, a gateway the one of a Secret in its namespace, and the
// server answers with the subject it verified.
func TestMutualTLSOrigination(t *testing.T) {
	readyMesh(t)
	servers, clients := newIssuer(t, "authority of the server"), newIssuer(t, "authority of the clients")
	namespace(t, bank, nil)
	namespace(t, bankClients, injected)
	own := servers.secret(t, bankName, clients)
	putSecret(t, bank, "bank-server", own)
	putSecret(t, bankClients, "bank-client", clients.secret(t, "payments", servers))
	must(t, mesh.Apply(within(t, time.Minute), bankClients, sleepWithCertificate(t)))
	deploy(t, bank, "samples/httpbin/bank.yaml")
	deploy(t, bankClients)

	t.Run("without a rule the server does not answer", func(t *testing.T) {
		callBank(t, 400, "HTTP request to an HTTPS server")
	})
	t.Run("public authorities did not sign its certificate", func(t *testing.T) {
		apply(t, bankClients, bankRule("{mode: SIMPLE, sni: "+bankName+"}"))
		callBank(t, 503, "upstream connect error")
		counted(t, "fail_verify_error")
	})
	t.Run("without a certificate the server refuses", func(t *testing.T) {
		apply(t, bankClients, bankRule("{mode: SIMPLE, sni: "+bankName+", caCertificates: /etc/certs/bank/ca.crt}"))
		callBank(t, 503, "upstream connect error")
		bankLogs(t, "client didn't provide a certificate")
	})
	t.Run("a file that is not there fails that server only", func(t *testing.T) {
		apply(t, bankClients, bankRule("{mode: MUTUAL, clientCertificate: /etc/certs/none.crt, privateKey: /etc/certs/none.key}"))
		callBank(t, 503, "upstream connect error")
		proxyLogs(t, "/etc/certs/none.crt does not exist in the proxy")
	})
	t.Run("with the certificate it answers", func(t *testing.T) {
		applyFile(t, bankClients, "samples/httpbin/bank-clients-tls.yaml")
		callBank(t, 200, `"client":"CN=payments"`)
		callBank(t, 200, `"serverName":"`+bankName+`"`)
		putSecret(t, bankClients, "bank-client", clients.secret(t, "payments renewed", servers))
		touchPods(t)
		callBank(t, 200, `"client":"CN=payments renewed"`)
	})
	t.Run("a server of another name is refused", func(t *testing.T) {
		apply(t, bankClients, strings.Replace(read(t, "samples/httpbin/bank-clients-tls.yaml"), bankName, "thief.example.com", 1))
		callBank(t, 503, "upstream connect error")
		counted(t, "fail_verify_san")
	})
	t.Run("a gateway presents the certificate of a Secret", func(t *testing.T) { throughGateway(t, servers, clients, own["tls.crt"]) })
}

// throughGateway opens the server on the ingress gateway, which presents another client certificate.
func throughGateway(t *testing.T, servers, clients *issuer, server []byte) {
	apply(t, "istio-system", bankRule("{mode: MUTUAL, credentialName: bank-gateway, sni: "+bankName+"}"))
	apply(t, bankClients, `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bank}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [`+bankName+`]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bank}
spec:
  hosts: [`+bankName+`]
  gateways: [bank]
  http: [{route: [{destination: {host: bank.bank.svc.cluster.local, port: {number: 80}}}]}]
`)
	get := func(ctx context.Context) (lab.Reply, error) { return throughIngress(ctx, bankName, "/tls", nil) }
	eventually(t, "without the Secret the gateway does not call", 503, get)
	putSecret(t, "istio-system", "bank-gateway", clients.secret(t, "gateway", servers))
	reply := eventually(t, "with it the server answers", 200, get)
	if !strings.Contains(reply.Body, `"client":"CN=gateway"`) {
		t.Errorf("the server saw %s", reply.Body)
	}
	revoked := clients.secret(t, "gateway", servers)
	revoked["ca.crl"] = servers.revoke(t, server)
	putSecret(t, "istio-system", "bank-gateway", revoked)
	eventually(t, "the gateway does not call a server whose certificate is revoked", 503, get)
}

func bankRule(tls string) string {
	return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank}
spec:
  host: bank.bank.svc.cluster.local
  trafficPolicy: {tls: ` + tls + `}
`
}

// sleepWithCertificate is the sample with a certificate mounted into its sidecar.
func sleepWithCertificate(t *testing.T) string {
	t.Helper()
	text := read(t, sleepSample)
	const labels = "      labels:\n        app: sleep\n    spec:"
	if strings.Count(text, labels) != 1 {
		t.Fatal("the sample's pod template has changed")
	}
	return strings.Replace(text, labels, `      labels:
        app: sleep
      annotations:
        sidecar.istio.io/userVolume: '[{"name": "bank", "secret": {"secretName": "bank-client"}}]'
        sidecar.istio.io/userVolumeMount: '[{"name": "bank", "mountPath": "/etc/certs/bank", "readOnly": true}]'
        sidecar.istio.io/statsInclusionSuffixes: .ssl.fail_verify_error,.ssl.fail_verify_san
    spec:`, 1)
}

// askBank calls the server until it answers with that status and text.
func callBank(t *testing.T, status int, has string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), fmt.Sprintf("the server answers %d %s", status, has), func(ctx context.Context) error {
		text, err := curl(ctx, bankClients, "-w", " %{http_code}", bankURL)
		if err == nil && (!strings.HasSuffix(strings.TrimSpace(text), fmt.Sprint(status)) || !strings.Contains(text, has)) {
			err = fmt.Errorf("it answers %.300s", text)
		}
		return err
	}))
}

// counted waits until the sidecar has counted a failed verification of the server's certificate.
func counted(t *testing.T, reason string) {
	t.Helper()
	name := `envoy_cluster_ssl_` + reason + `{cluster_name="outbound|80||bank.bank.svc.cluster.local"} `
	must(t, lab.Until(within(t, 2*time.Minute), "the sidecar counts "+reason, func(ctx context.Context) error {
		page, err := curl(ctx, bankClients, "http://127.0.0.1:15020/stats/prometheus")
		_, rest, found := strings.Cut(page, name)
		if err == nil && (!found || strings.HasPrefix(rest, "0\n")) {
			err = errors.New("the counter is 0")
		}
		return err
	}))
}

func proxyLogs(t *testing.T, text string) {
	t.Helper()
	eventuallyLogs(t, bankClients, "app=sleep", "istio-proxy", text)
}

func bankLogs(t *testing.T, text string) {
	t.Helper()
	eventuallyLogs(t, bank, "app=bank", "httpbin", text)
}

// touchPods makes the kubelet update the clients' volumes now; without it that takes a minute or two.
func touchPods(t *testing.T) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, 30*time.Second), "annotate", "pods", "-n", bankClients, "-l", "app=sleep", "touched="+fmt.Sprint(time.Now().UnixNano()))
	must(t, err)
}

// issuer is a certificate authority outside of the mesh.
type issuer struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	i := &issuer{key: key}
	i.certificate = i.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, key)
	return i
}

// sign issues a certificate; the first one is self-signed.
func (i *issuer) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	parent := i.certificate
	if parent == nil {
		parent = template
	}
	var err error
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), i.key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}

// secret is the data of a Secret with a certificate of this authority and the authority of the peers.
func (i *issuer) secret(t *testing.T, name string, peers *issuer) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if strings.Contains(name, ".") {
		template.DNSNames = []string{name}
	}
	leaf := i.sign(t, template, key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return map[string][]byte{
		"tls.crt": encodePEM("CERTIFICATE", leaf.Raw), "tls.key": encodePEM("PRIVATE KEY", private),
		"ca.crt": encodePEM("CERTIFICATE", peers.certificate.Raw),
	}
}

// revoke returns a revocation list that holds one certificate.
func (i *issuer) revoke(t *testing.T, certificate []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: parsed.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)}},
	}, i.certificate, i.key)
	must(t, err)
	return encodePEM("X509 CRL", der)
}

// putSecret creates a Secret or updates it, and deletes it at the end of t.
func putSecret(t *testing.T, namespace, name string, data map[string][]byte) {
	t.Helper()
	secrets := mesh.Client.CoreV1().Secrets(namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeTLS, Data: data}
	_, err := secrets.Create(within(t, 30*time.Second), secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(within(t, 30*time.Second), secret, metav1.UpdateOptions{})
		must(t, err)
		return
	}
	must(t, err)
	atEnd(t, 30*time.Second, func(ctx context.Context) error {
		if err := secrets.Delete(ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	})
}
