package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
)

// TestNotReadyWhileAPIRefusesToken: a role whose token the API server refuses says so at /ready, which makes its pod not ready.
func TestNotReadyWhileAPIRefusesToken(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer api.Close()
	dir := t.TempDir()
	kubeconfig := write(t, dir, "kubeconfig", fmt.Sprintf(`{clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`, api.URL))
	values, err := injecttemplate.DefaultValues()
	if err != nil {
		t.Fatal(err)
	}
	config, valuesFile := write(t, dir, "config", injecttemplate.Config()), write(t, dir, "values", string(values))
	for name, role := range map[string]struct {
		command func() *cobra.Command
		args    []string
	}{
		"citadel":  {newCitadelCommand, []string{"--grpc-address=127.0.0.1:0"}},
		"pilot":    {newPilotCommand, []string{"--grpc-address=", "--insecure-grpc-addr=127.0.0.1:0"}},
		"injector": {newInjectorCommand, []string{"--webhook-address=127.0.0.1:0", "--config-file=" + config, "--values-file=" + valuesFile}},
	} {
		t.Run(name, func(t *testing.T) {
			address := freeAddress(t)
			command := role.command()
			command.SetArgs(append(role.args, "--kubeconfig="+kubeconfig, "--monitoring-address="+address))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- command.ExecuteContext(ctx) }()
			body := ""
			for ctx.Err() == nil && !strings.Contains(body, "refuses the token") {
				body = ready(ctx, t, address)
			}
			if ctx.Err() != nil {
				t.Errorf("/ready answers %q", body)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the role ended: %v", err)
			}
		})
	}
}

// ready returns the body of a 503 of /ready, empty for every other response.
func ready(ctx context.Context, t *testing.T, address string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/ready", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusServiceUnavailable {
		return ""
	}
	return string(body)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
