package kube

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// TestCheckAPIFollowsLastAnswer: 401 fails the check until the API server accepts a request again; other errors
// change nothing.
func TestCheckAPIFollowsLastAnswer(t *testing.T) {
	var status atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer server.Close()
	flags := Flags{Kubeconfig: kubeconfig(t, server.URL)}
	config, err := flags.Config("test")
	if err != nil {
		t.Fatal(err)
	}
	var clients []kubernetes.Interface
	for _, c := range []*kubernetes.Clientset{kubernetes.NewForConfigOrDie(config), kubernetes.NewForConfigOrDie(Unlimited(config))} {
		clients = append(clients, c)
	}
	if err := flags.CheckAPI(); err != nil {
		t.Errorf("before the first request: %v", err)
	}
	for i, step := range []struct {
		status   int32
		accepted bool
	}{{200, true}, {401, false}, {500, false}, {429, false}, {403, true}, {401, false}, {404, true}, {503, true}} {
		status.Store(step.status)
		client := clients[i%len(clients)]
		_, _ = client.CoreV1().Pods("default").Get(t.Context(), "a", metav1.GetOptions{})
		if err := flags.CheckAPI(); (err == nil) != step.accepted {
			t.Errorf("after %d: %v, want accepted %t", step.status, err, step.accepted)
		}
	}
}

func kubeconfig(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := api.Config{
		Clusters:       map[string]*api.Cluster{"c": {Server: url}},
		Contexts:       map[string]*api.Context{"c": {Cluster: "c"}},
		CurrentContext: "c",
	}
	if err := clientcmd.WriteToFile(config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
