package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// probedApp is an application that answers probes by their path, and records the last request.
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
	case "/missing":
		http.NotFound(w, r)
	case "/slow":
		<-r.Context().Done()
	default:
		http.Error(w, "secret of the application", http.StatusInternalServerError)
	}
}

func (a *probedApp) port() int { return a.Listener.Addr().(*net.TCPAddr).Port }

// askAgent sends the kubelet's request to an agent whose application has this probe.
func askAgent(t *testing.T, probe string) (code int, body, logged string) {
	t.Helper()
	probes := map[string]Probe{}
	if err := json.Unmarshal([]byte(`{"/app-health/app/readyz":`+probe+`}`), &probes); err != nil {
		t.Fatal(err)
	}
	c := Config{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Probes: probes}
	log := &bytes.Buffer{}
	h := newHealth(c, newAdmin(1), nil, slog.New(slog.NewTextHandler(log, nil)))
	request := httptest.NewRequest(http.MethodGet, "/app-health/app/readyz", nil)
	request.Header.Set("User-Agent", "kube-probe/1.36")
	recorder := httptest.NewRecorder()
	h.open().ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String(), log.String()
}

func TestProbes(t *testing.T) {
	plain, secure := newProbedApp(t, false), newProbedApp(t, true)
	serving, failing := grpcApp(t, grpc_health_v1.HealthCheckResponse_SERVING), grpcApp(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	talking, garbage := talkingApp(t), garbageApp(t)
	closed := listen(t)
	closed.Close()
	nobody := closed.Addr().(*net.TCPAddr).Port
	for name, c := range map[string]struct {
		probe  string
		reason string // as everybody may read it; "" when the probe passes
	}{
		"HTTP":                 {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, plain.port()), ""},
		"HTTPPortAsText":       {fmt.Sprintf(`{"httpGet":{"path":"ok","port":"%d"}}`, plain.port()), ""},
		"HTTPFails":            {fmt.Sprintf(`{"httpGet":{"path":"/fail","port":%d}}`, plain.port()), "status 500"},
		"HTTPRedirect":         {fmt.Sprintf(`{"httpGet":{"path":"/moved","port":%d}}`, plain.port()), ""},
		"HTTPRedirectAway":     {fmt.Sprintf(`{"httpGet":{"path":"/away","port":%d}}`, plain.port()), ""},
		"HTTPTimeout":          {fmt.Sprintf(`{"httpGet":{"path":"/slow","port":%d},"timeoutSeconds":1}`, plain.port()), "no answer in time"},
		"HTTPNobodyWithToken":  {fmt.Sprintf(`{"httpGet":{"path":"/ok?token=secret","port":%d}}`, nobody), "connection refused"},
		"HTTPNobody":           {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, nobody), "connection refused"},
		"HTTPS":                {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d,"scheme":"HTTPS"}}`, secure.port()), ""},
		"TCP":                  {fmt.Sprintf(`{"tcpSocket":{"port":%d}}`, plain.port()), ""},
		"TCPNobody":            {fmt.Sprintf(`{"tcpSocket":{"port":%d}}`, nobody), "connection refused"},
		"GRPC":                 {fmt.Sprintf(`{"grpc":{"port":%d}}`, serving), ""},
		"GRPCNotServing":       {fmt.Sprintf(`{"grpc":{"port":%d}}`, failing), "grpc health status NOT_SERVING"},
		"GRPCUnknownService":   {fmt.Sprintf(`{"grpc":{"port":%d,"service":"x"}}`, serving), "grpc status NotFound"},
		"GRPCWords":            {fmt.Sprintf(`{"grpc":{"port":%d}}`, talking), "grpc status Internal"},
		"GRPCNobody":           {fmt.Sprintf(`{"grpc":{"port":%d}}`, nobody), "grpc status Unavailable"},
		"HTTPOfSecurePort":     {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, secure.port()), "status 400"},
		"HTTPGarbage":          {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d}}`, garbage), "no valid answer"},
		"HTTPSOfPlaintextPort": {fmt.Sprintf(`{"httpGet":{"path":"/ok","port":%d,"scheme":"HTTPS"}}`, plain.port()), "no valid answer"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body, logged := askAgent(t, c.probe)
			if c.reason == "" {
				if code != 200 || body != "ok\n" || logged != "" {
					t.Errorf("status %d %s, logged %s", code, body, logged)
				}
				return
			}
			if want := "the probe of the application fails: " + c.reason + "\n"; code != 503 || body != want {
				t.Errorf("status %d %s, want 503 %s", code, body, want)
			}
			if !strings.Contains(logged, "reason=") || strings.Contains(logged, "token=") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestProbeRequestHeaders(t *testing.T) {
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

// talkingApp fails with words of its own.
func talkingApp(t *testing.T) int {
	t.Helper()
	listener := listen(t)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Internal, "secret of the application")
	}))
	grpc_health_v1.RegisterHealthServer(server, grpchealth.NewServer())
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().(*net.TCPAddr).Port
}

// garbageApp answers what is not HTTP.
func garbageApp(t *testing.T) int {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			fmt.Fprint(conn, "secret of the application\r\n\r\n")
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

// TestProbeFailureIsLoggedOnce: repeated probes do not fill the log; another reason is another line, and so is
// the end of the failure. A line that the limit held back is written later.
func TestProbeFailureIsLoggedOnce(t *testing.T) {
	app, log := newProbedApp(t, false), &bytes.Buffer{}
	const path = "/app-health/app/readyz"
	h := newHealth(Config{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, newAdmin(1), nil, slog.New(slog.DiscardHandler))
	failures := newFailureLog(slog.New(slog.NewTextHandler(log, nil)), "fails", "passes again", h.counters.probes.with(path))
	ask := func(at string) {
		probe := Probe{HTTPGet: &HTTPGet{Path: at, Port: Port(app.port())}}
		h.serveProbe(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil), probe, failures)
	}
	for _, at := range []string{"/ok", "/fail", "/fail", "/missing", "/ok", "/ok", "/fail"} {
		ask(at)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 4 || strings.Count(log.String(), "passes again") != 1 {
		t.Errorf("%d lines:\n%s", lines, log)
	}
	for range 100 {
		ask("/ok")
		ask("/fail")
	}
	if lines := strings.Count(log.String(), "\n"); lines > 15 {
		t.Errorf("%d lines", lines)
	}
	if got, err := h.counters.page(); err != nil || !strings.Contains(string(got), `istio_agent_probe_failures_total{path="`+path+`"} 104`) {
		t.Errorf("the metrics are\n%s %v", got, err)
	}
	failures.limiter.SetLimit(rate.Inf)
	ask("/missing")
	if !strings.HasSuffix(log.String(), "status 404\" error=\"status 404\"\n") {
		t.Errorf("the log ends without what is wrong now:\n%s", log)
	}
}

func TestReadinessFromStats(t *testing.T) {
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
			err := checkStats(c.stats)
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
