package ca

import (
	"os"
	"path/filepath"
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

func TestWorkloadObtainsAndRenews(t *testing.T) {
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
