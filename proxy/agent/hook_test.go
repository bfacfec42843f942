package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestHooks: the application gets the hook, and the kubelet fails exactly the hooks that it would fail without the agent: those
// without any answer. Nobody without the secret of the path can call a hook, and nothing shows it.
func TestHooks(t *testing.T) {
	const path, secret = "/app-lifecycle/app/prestop", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	app, closed := newProbedApp(t, false), listen(t)
	closed.Close()
	for name, c := range map[string]struct {
		hook, secret string
		want         string
	}{
		"Answered":    {fmt.Sprintf(`{"path":"/ok","port":%d}`, app.port()), secret, "200 ok"},
		"Status500":   {fmt.Sprintf(`{"path":"/fail","port":%d}`, app.port()), secret, "200 ok"},
		"Nobody":      {fmt.Sprintf(`{"path":"/ok","port":%d}`, closed.Addr().(*net.TCPAddr).Port), secret, "closed"},
		"WrongSecret": {fmt.Sprintf(`{"path":"/ok","port":%d}`, app.port()), strings.Repeat("A", 26), "404 404 page not found"},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := map[string]Probe{}
			if err := json.Unmarshal([]byte(`{"`+path+"/"+secret+`":{"httpGet":`+c.hook+`}}`), &hooks); err != nil {
				t.Fatal(err)
			}
			for path, hook := range hooks {
				if err := hook.validate(path); err != nil {
					t.Error(err)
				}
			}
			log := &buffer{}
			h := newHealth(Config{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Probes: hooks}, newAdmin(1), nil, slog.New(slog.NewTextHandler(log, nil)))
			server := httptest.NewServer(h.open())
			defer server.Close()
			app.from = ""
			got := "closed"
			if response, err := http.Get(server.URL + path + "/" + c.secret); err == nil {
				body, _ := io.ReadAll(response.Body)
				response.Body.Close()
				got = fmt.Sprintf("%d %s", response.StatusCode, bytes.TrimSpace(body))
			}
			if got != c.want || (app.from != "") != strings.HasPrefix(c.want, "200") {
				t.Errorf("got %q, want %q; the application was called from %q", got, c.want, app.from)
			}
			page, err := h.counters.page()
			if err != nil || strings.Contains(log.String()+string(page), secret) {
				t.Errorf("the log %q or the metrics show the secret, %v", log, err)
			}
		})
	}
}
