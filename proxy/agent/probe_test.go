package agent

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// probedApp is an application that answers on every path what the path says, and remembers who asked and how.
type probedApp struct {
	*httptest.Server
	from, host, header, agent string
}

func newProbedApp(t *testing.T, secure bool) *probedApp {
	t.Helper()
	app := &probedApp{}
	app.Server = httptest.NewUnstartedServer(http.HandlerFunc(app.serve))
	if secure {
		app.StartTLS()
	} else {
		app.Start()
	}
	t.Cleanup(app.Close)
	return app
}

func (a *probedApp) serve(w http.ResponseWriter, r *http.Request) {
	a.from, _, _ = net.SplitHostPort(r.RemoteAddr)
	a.host, a.header, a.agent = r.Host, r.Header.Get("X-Probe"), r.UserAgent()
	switch r.URL.Path {
	case "/ok":
		fmt.Fprint(w, "secret of the application")
	case "/away":
		http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
	case "/moved":
		http.Redirect(w, r, "/ok?from=moved", http.StatusFound)
	case "/slow":
		<-r.Context().Done()
	default:
		http.Error(w, "secret of the application", http.StatusInternalServerError)
	}
}

func (a *probedApp) port() int { return a.Listener.Addr().(*net.TCPAddr).Port }

// askAgent sends the kubelet's request to an agent whose application has this probe.
func askAgent(t *testing.T, probe string) (int, string) {
	t.Helper()
	probes := map[string]Probe{}
	if err := json.Unmarshal([]byte(`{"/app-health/app/readyz":`+probe+`}`), &probes); err != nil {
		t.Fatal(err)
	}
	c := Config{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Probes: probes}
	h := newHealth(c, newAdmin(1), nil, slog.New(slog.DiscardHandler))
	request := httptest.NewRequest(http.MethodGet, "/app-health/app/readyz", nil)
	request.Header.Set("User-Agent", "kube-probe/1.36")
	recorder := httptest.NewRecorder()
	h.open().ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func TestProbes(t *testing.T) {
	plain, secure := newProbedApp(t, false), newProbedApp(t, true)
	serving, failing := grpcApp(t, grpc_health_v1.HealthCheckResponse_SERVING), grpcApp(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	closed := listen(t)
	closed.Close()
	nobody := closed.Addr().(*net.TCPAddr).Port
	for name, c := range map[string]struct {
		probe string
		code  int
	}{
		"HTTP":                 {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, plain.port()), 200},
		"HTTPPortAsText":       {fmt.Sprintf(`{"httpGet":{"path":"ok","port":"%d"}}`, plain.port()), 200},
		"HTTPFails":            {fmt.Sprintf(`{"httpGet":{"path":"/fail","port":%d}}`, plain.port()), 503},
		"HTTPRedirect":         {fmt.Sprintf(`{"httpGet":{"path":"/moved","port":%d}}`, plain.port()), 200},
		"HTTPRedirectAway":     {fmt.Sprintf(`{"httpGet":{"path":"/away","port":%d}}`, plain.port()), 200},
		"HTTPTimeout":          {fmt.Sprintf(`{"httpGet":{"path":"/slow","port":%d},"timeoutSeconds":1}`, plain.port()), 503},
		"HTTPNobodyWithToken":  {fmt.Sprintf(`{"httpGet":{"path":"/ok?token=secret","port":%d}}`, nobody), 503},
		"HTTPNobody":           {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, nobody), 503},
		"HTTPS":                {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d,"scheme":"HTTPS"}}`, secure.port()), 200},
		"TCP":                  {fmt.Sprintf(`{"tcpSocket":{"port":%d}}`, plain.port()), 200},
		"TCPNobody":            {fmt.Sprintf(`{"tcpSocket":{"port":%d}}`, nobody), 503},
		"GRPC":                 {fmt.Sprintf(`{"grpc":{"port":%d}}`, serving), 200},
		"GRPCNotServing":       {fmt.Sprintf(`{"grpc":{"port":%d}}`, failing), 503},
		"GRPCUnknownService":   {fmt.Sprintf(`{"grpc":{"port":%d,"service":"x"}}`, serving), 503},
		"GRPCNobody":           {fmt.Sprintf(`{"grpc":{"port":%d}}`, nobody), 503},
		"HTTPOfSecurePort":     {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, secure.port()), 503},
		"HTTPSOfPlaintextPort": {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d,"scheme":"HTTPS"}}`, plain.port()), 503},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := askAgent(t, c.probe)
			if code != c.code {
				t.Errorf("status %d %s, want %d", code, body, c.code)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the application's answer gets out: %s", body)
			}
		})
	}
}

func TestProbeLooksLikeTheKubelets(t *testing.T) {
	app := newProbedApp(t, false)
	askAgent(t, fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d,"httpHeaders":[{"name":"host","value":"shop.example"},{"name":"X-Probe","value":"yes"}]}}`, app.port()))
	if app.host != "shop.example" || app.header != "yes" || app.agent != "kube-probe/1.36" {
		t.Errorf("the application sees host %q, header %q, agent %q", app.host, app.header, app.agent)
	}
	if app.from != direct4.String() {
		t.Errorf("the probe comes from %s: the redirect would send it to Envoy", app.from)
	}
}

func grpcApp(t *testing.T, state grpc_health_v1.HealthCheckResponse_ServingStatus) int {
	t.Helper()
	listener := listen(t)
	checks := grpchealth.NewServer()
	checks.SetServingStatus("", state)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, checks)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().(*net.TCPAddr).Port
}

func TestJudge(t *testing.T) {
	loaded := map[string]uint64{"cluster_manager.cds.update_success": 1, "listener_manager.lds.update_success": 1, "server.state": 0}
	with := func(changes map[string]uint64) map[string]uint64 {
		out := map[string]uint64{}
		for _, m := range []map[string]uint64{loaded, changes} {
			for name, value := range m {
				out[name] = value
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		stats map[string]uint64
		says  string
	}{
		"Ready":             {loaded, ""},
		"NoClusters":        {with(map[string]uint64{"cluster_manager.cds.update_success": 0}), "no clusters from pilot yet"},
		"NoListeners":       {with(map[string]uint64{"listener_manager.lds.update_success": 0}), "no listeners from pilot yet"},
		"LaterRejection":    {with(map[string]uint64{"listener_manager.lds.update_rejected": 3}), ""},
		"FirstRejected":     {with(map[string]uint64{"cluster_manager.cds.update_success": 0, "cluster_manager.cds.update_rejected": 1}), "rejected its first clusters"},
		"Warming":           {with(map[string]uint64{"server.state": 2}), "not live yet"},
		"StateUnknown":      {map[string]uint64{"cluster_manager.cds.update_success": 1, "listener_manager.lds.update_success": 1}, "not live yet"},
		"NothingKnownAtAll": {nil, "no clusters"},
	} {
		t.Run(name, func(t *testing.T) {
			err := judge(c.stats)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("verdict %v, want %q", err, c.says)
			}
		})
	}
}

// TestReadyBeforeEnvoy: before there is a certificate the answer says what is waited for, and Envoy is not asked.
func TestReadyBeforeEnvoy(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	client := certclient.New(certclient.Options{RootFile: "/root.pem", Logger: quiet})
	h := newHealth(Config{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, newAdmin(1), client, quiet)
	if err := h.check(t.Context()); err == nil || err.Error() != "waiting for the trust bundle /root.pem" {
		t.Errorf("check says %v", err)
	}
}
