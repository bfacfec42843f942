package ca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

// workloadClient is a client as a pod has one: its token and the bundle of its namespace in files.
func workloadClient(t *testing.T, r *running, a *api, namespace, token string) (*certclient.Client, certclient.Options) {
	t.Helper()
	dir := t.TempDir()
	o := certclient.Options{
		Address:   "istio-citadel.istio-system.svc:8060",
		TokenFile: filepath.Join(dir, "istio-token"),
		RootFile:  filepath.Join(dir, "root-cert.pem"),
		Logger:    r.o.Logger,
		Dial:      r.dial,
	}
	write(t, o.TokenFile, token)
	mountBundle(t, a, namespace, o.RootFile)
	return certclient.New(o), o
}

// mountBundle does what the kubelet does with the ConfigMap.
func mountBundle(t *testing.T, a *api, namespace, file string) {
	t.Helper()
	cm, err := a.CoreV1().ConfigMaps(namespace).Get(t.Context(), bundleName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, cm.Data[bundleKey])
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWorkloadObtainsAndRenewsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		token := a.workload(t, "bookinfo", "reviews", "reviews-v1-5d9f-abc")
		r := start(t, options(a))
		defer r.stop()
		client, _ := workloadClient(t, r, a, "bookinfo", token)
		changes := client.Subscribe()
		go client.Run(t.Context())
		synctest.Wait()

		first := client.Certificate()
		if first == nil {
			t.Fatal("no certificate")
		}
		<-changes
		id, err := spiffe.FromCertificate(first.Leaf)
		if err != nil || id.String() != "spiffe://cluster.local/ns/bookinfo/sa/reviews" {
			t.Errorf("identity %s, %v", id, err)
		}
		if got, want := first.Leaf.Subject.String(), "CN=reviews-v1,OU=bookinfo,O=app-of-reviews,L=v1"; got != want {
			t.Errorf("subject %s, want %s", got, want)
		}

		time.Sleep(10 * time.Hour)
		if client.Certificate() != first {
			t.Error("renewed before half of its life")
		}
		time.Sleep(5 * time.Hour)
		second := client.Certificate()
		if second == first || second.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 {
			t.Error("not renewed at half of its life")
		}
		select {
		case <-changes:
		default:
			t.Error("renewal not announced")
		}
	})
}

// A pod may start before the bundle and the token exist; no request is sent without them.
func TestClientWaitsForBundleAndToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		token := a.workload(t, "bookinfo", "reviews", "p")
		r := start(t, options(a))
		defer r.stop()
		client, o := workloadClient(t, r, a, "bookinfo", token)
		if err := os.Remove(o.RootFile); err != nil {
			t.Fatal(err)
		}
		go client.Run(t.Context())
		time.Sleep(time.Minute)
		if n := metricValue(t, r, "citadel_server_csr_count"); n != 0 {
			t.Errorf("asked %v times without a bundle", n)
		}
		if err := os.Remove(o.TokenFile); err != nil {
			t.Fatal(err)
		}
		mountBundle(t, a, "bookinfo", o.RootFile)
		time.Sleep(time.Minute)
		if err := client.CheckReady(); err == nil || metricValue(t, r, "citadel_server_csr_count") != 0 {
			t.Fatalf("ready (%v) without a token", err)
		}
		write(t, o.TokenFile, token)
		if err := client.WaitReady(t.Context()); err != nil || client.CheckReady() != nil {
			t.Errorf("not ready: %v, %v", err, client.CheckReady())
		}
	})
}

// The log of citadel at level debug contains neither a key nor a token, accepted or refused.
func TestLogsHoldNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		token := a.workload(t, "bookinfo", "reviews", "p")
		var log bytes.Buffer
		o := options(a)
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := start(t, o)
		conn := connect(t, r, nil)
		if _, err := ask(t, conn, token); err != nil {
			t.Error(err)
		}
		if _, err := ask(t, conn, "refused-token"); err == nil {
			t.Error("a token that nobody knows is accepted")
		}
		conn.Close()
		r.stop()
		root := strings.Split(string(getRoot(t, a).Data[rootKeyKey]), "\n")
		for _, secret := range []string{token, "refused-token", "PRIVATE KEY", root[1]} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, log.String())
			}
		}
		for _, words := range []string{"certificate issued", "certificate refused"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("the log does not say %q", words)
			}
		}
	})
}

// A server that is not of the bundle gets neither the token nor belief.
func TestClientRefusesAnotherRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		token := a.workload(t, "bookinfo", "reviews", "p")
		r := start(t, options(a))
		defer r.stop()
		client, o := workloadClient(t, r, a, "bookinfo", token)
		write(t, o.RootFile, string(newAuthority(t).bundle.PEM()))
		go client.Run(t.Context())
		time.Sleep(10 * time.Minute)
		if client.Certificate() != nil || metricValue(t, r, "citadel_server_csr_count") != 0 {
			t.Error("believed")
		}
		mountBundle(t, a, "bookinfo", o.RootFile)
		time.Sleep(20 * time.Second)
		if err := client.CheckReady(); err != nil {
			t.Errorf("the right bundle does not help at once: %v", err)
		}
	})
}

// When the root rotates, a certificate that peers no longer trust is replaced at once; a bundle that only grows changes
// nothing.
func TestClientReloadsBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		token := a.workload(t, "bookinfo", "reviews", "p")
		r := start(t, options(a))
		defer r.stop()
		client, o := workloadClient(t, r, a, "bookinfo", token)
		go client.Run(t.Context())
		synctest.Wait()
		first := client.Certificate()

		old, next := current(t, r), newAuthority(t)
		changeRoot(t, a, "rotated", with(next, old))
		mountBundle(t, a, "bookinfo", o.RootFile)
		time.Sleep(time.Minute)
		if client.Certificate() != first || len(client.Roots().Roots()) != 2 {
			t.Errorf("renewed for a bundle that still has the root, %d roots", len(client.Roots().Roots()))
		}

		time.Sleep(rotationGrace)
		write(t, o.RootFile, string(next.data[rootCertKey]))
		time.Sleep(time.Minute)
		if client.Certificate() == first {
			t.Error("kept a certificate that nobody believes")
		}
	})
}

// Two workloads talk mutual TLS with what the client hands out; an untrusted client, and a peer of a bundle that is gone, do not.
func TestMutualTLSBetweenClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"), namespace("bookinfo"))
		pilotToken := a.workload(t, "istio-system", "istio-pilot-service-account", "pilot")
		agentToken := a.workload(t, "bookinfo", "reviews", "p")
		r := start(t, options(a))
		defer r.stop()
		pilot, pilotOptions := workloadClient(t, r, a, "istio-system", pilotToken)
		agent, _ := workloadClient(t, r, a, "bookinfo", agentToken)
		go pilot.Run(t.Context())
		go agent.Run(t.Context())
		synctest.Wait()

		const name = "istio-pilot.istio-system.svc"
		server := pilot.MutualServerTLS()
		peer, err := handshake(server, agent.ClientTLS(name))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := spiffe.FromCertificate(peer); err != nil || id.ServiceAccount != "reviews" {
			t.Errorf("peer %s, %v", id, err)
		}
		if _, err := handshake(server, agent.ClientTLS("istio-galley.istio-system.svc")); err == nil {
			t.Error("the agent accepts another name")
		}
		if _, err := handshake(server, &tls.Config{RootCAs: pilot.Roots().Pool(), ServerName: name}); err == nil {
			t.Error("a client without a certificate is accepted")
		}
		if _, err := handshake(pilot.ServerTLS("http/1.1"), &tls.Config{RootCAs: pilot.Roots().Pool(), ServerName: name}); err != nil {
			t.Errorf("a webhook's caller is refused: %v", err)
		}
		checkNoResumption(t, server, &tls.Config{
			RootCAs: pilot.Roots().Pool(), ServerName: name, Certificates: []tls.Certificate{*agent.Certificate()},
		})
		write(t, pilotOptions.RootFile, string(newAuthority(t).bundle.PEM()))
		time.Sleep(time.Minute)
		if _, err := handshake(server, agent.ClientTLS(name)); err == nil {
			t.Error("a client of a root that left the bundle is accepted")
		}
	})
}

// handshake connects the two in memory and returns the client's certificate as the server has verified it.
func handshake(server, client *tls.Config) (*x509.Certificate, error) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		conn := tls.Client(near, client)
		_, err := conn.Read(make([]byte, 1)) // TLS 1.3 learns here that the server refuses
		done <- err
	}()
	conn := tls.Server(far, server)
	if err := conn.Handshake(); err != nil {
		near.Close()
		<-done
		return nil, err
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	if certs := conn.ConnectionState().PeerCertificates; len(certs) > 0 {
		return certs[0], nil
	}
	return nil, nil
}
