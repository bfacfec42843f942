package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is all four services on loopback, with the requests that each of them received.
type shop struct {
	url   string
	asked chan asked
}

type asked struct {
	role   string
	header http.Header
}

// open starts the services; failing ones answer with the given status.
func open(t *testing.T, reviewsVersion string, failing map[string]int) *shop {
	t.Helper()
	s := &shop{asked: make(chan asked, 100)}
	env := map[string]string{}
	for _, role := range []string{"ratings", "details", "reviews", "productpage"} {
		if env["SERVICE_VERSION"] = ""; role == "reviews" {
			env["SERVICE_VERSION"] = reviewsVersion
		}
		handler, err := newService(role, func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s.record(role, failing[role], handler))
		t.Cleanup(server.Close)
		host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		upper := strings.ToUpper(role)
		env[upper+"_HOSTNAME"], env[upper+"_SERVICE_PORT"] = host, port
		s.url = server.URL
	}
	return s
}

func (s *shop) record(role string, status int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked <- asked{role, r.Header.Clone()}
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *shop) get(t *testing.T, path string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestPageShowsTheVersionOfReviews(t *testing.T) {
	cases := map[string]struct {
		version   string
		has, lack []string
	}{
		"NoStars":    {version: "v1", has: []string{"reviews-v1", "William Shakespeare", "Reviewer1"}, lack: []string{"★"}},
		"BlackStars": {version: "v2", has: []string{"reviews-v2", `class="stars black"`, "★★★★★", "★★★★☆"}, lack: []string{`"stars red"`}},
		"RedStars":   {version: "v3", has: []string{"reviews-v3", `class="stars red"`, "★★★★☆"}, lack: []string{`"stars black"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, page := open(t, c.version, nil).get(t, "/productpage", nil)
			if status != 200 {
				t.Fatalf("status %d", status)
			}
			for _, text := range c.has {
				if !strings.Contains(page, text) {
					t.Errorf("the page lacks %q", text)
				}
			}
			for _, text := range c.lack {
				if strings.Contains(page, text) {
					t.Errorf("the page has %q", text)
				}
			}
			if strings.Contains(page, "http://") || strings.Contains(page, "https://") || strings.Contains(page, "src=") {
				t.Error("the page loads something from elsewhere")
			}
		})
	}
}

func TestPageWithFailedServices(t *testing.T) {
	cases := map[string]struct {
		failing map[string]int
		says    string
	}{
		"Details": {map[string]int{"details": 503}, "Sorry, product details are currently unavailable for this book. (status 503)"},
		"Reviews": {map[string]int{"reviews": 500}, "Sorry, product reviews are currently unavailable for this book. (status 500)"},
		"Ratings": {map[string]int{"ratings": 500}, "Ratings service is currently unavailable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, page := open(t, "v2", c.failing).get(t, "/productpage", nil)
			if status != 200 || !strings.Contains(page, c.says) {
				t.Errorf("status %d, and the page does not say %q", status, c.says)
			}
		})
	}
}

func TestCallsForwardHeaders(t *testing.T) {
	s := open(t, "v3", nil)
	sent := map[string]string{
		"X-Request-Id": "id-1", "X-B3-Traceid": "80f198ee56343ba864fe8b2a57d3eff7", "X-B3-Sampled": "1",
		"Traceparent": "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01", "B3": "1", "Baggage": "k=v",
		"Cookie": "a=b; user=jason", "X-Private": "not for others",
	}
	if status, page := s.get(t, "/productpage", sent); status != 200 || !strings.Contains(page, `<b id="user">jason</b>`) {
		t.Errorf("status %d, and jason is not named on the page", status)
	}
	roles := map[string]bool{}
	for len(s.asked) > 0 {
		a := <-s.asked
		roles[a.role] = true
		if a.role == "productpage" {
			continue
		}
		for name, value := range sent {
			want := value
			if name == "X-Private" {
				want = ""
			}
			if got := a.header.Get(name); got != want {
				t.Errorf("%s got %s: %q, not %q", a.role, name, got, want)
			}
		}
		if got := a.header.Get("end-user"); got != "jason" {
			t.Errorf("%s got end-user %q", a.role, got)
		}
	}
	if diff := cmp.Diff(map[string]bool{"productpage": true, "details": true, "reviews": true, "ratings": true}, roles); diff != "" {
		t.Error(diff)
	}
}

func TestLoginSetsTheCookieThatRulesMatch(t *testing.T) {
	s := open(t, "v1", nil)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(name string) *http.Response {
		resp, err := client.PostForm(s.url+"/login", url.Values{"username": {name}, "passwd": {"ignored"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := post("jason"); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "user=jason; ") {
		t.Errorf("status %d, cookie %q", resp.StatusCode, resp.Header.Get("Set-Cookie"))
	}
	for _, name := range []string{"", "a\r\nb: c", strings.Repeat("x", 65)} {
		if resp := post(name); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("user %q: status %d, cookie %q", name, resp.StatusCode, resp.Header.Get("Set-Cookie"))
		}
	}
	if _, page := s.get(t, "/productpage", map[string]string{"Cookie": "user=%3Cscript%3E"}); strings.Contains(page, "<script>") {
		t.Error("a name is taken for markup")
	}
}

func TestPaths(t *testing.T) {
	s := open(t, "v2", nil)
	cases := map[string]struct {
		path   string
		status int
		has    string
	}{
		"Front":          {"/", 200, "The Comedy of Errors"},
		"Health":         {"/health", 200, "healthy"},
		"Products":       {"/api/v1/products", 200, `"title":"The Comedy of Errors"`},
		"ProductDetails": {"/api/v1/products/0", 200, `"author":"William Shakespeare"`},
		"ProductReviews": {"/api/v1/products/0/reviews", 200, `"color":"black"`},
		"ProductRatings": {"/api/v1/products/0/ratings", 200, `"Reviewer1":5`},
		"BadID":          {"/api/v1/products/x", 400, "numeric"},
		"Unknown":        {"/no-such-path", 404, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, body := s.get(t, c.path, nil)
			if status != c.status || !strings.Contains(body, c.has) {
				t.Errorf("status %d, body %.200s", status, body)
			}
		})
	}
}

func TestPostRatings(t *testing.T) {
	handler, err := newService("ratings", func(string) string { return "" }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) (int, bookRatings) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		var got bookRatings
		_ = json.Unmarshal(w.Body.Bytes(), &got)
		return w.Code, got
	}
	if code, _ := ask("POST", "/ratings/7", `{"Reviewer1": 2}`); code != 200 {
		t.Errorf("status %d", code)
	}
	if code, got := ask("GET", "/ratings/7", ""); code != 200 || got.Ratings["Reviewer1"] != 2 {
		t.Errorf("status %d, ratings %v", code, got)
	}
	if code, _ := ask("POST", "/ratings/7", "not JSON"); code != 400 {
		t.Errorf("status %d", code)
	}
}

func TestPeerFollowsTheEnvironment(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want string
	}{
		"Default":      {nil, "http://ratings:9080"},
		"Name":         {map[string]string{"RATINGS_HOSTNAME": "stars"}, "http://stars:9080"},
		"Domain":       {map[string]string{"SERVICES_DOMAIN": "shop.svc"}, "http://ratings.shop.svc:9080"},
		"Port":         {map[string]string{"RATINGS_SERVICE_PORT": "80"}, "http://ratings:80"},
		"KubeletsPort": {map[string]string{"RATINGS_SERVICE_PORT": "tcp://10.0.0.1:9080"}, "http://ratings:9080"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := peer("ratings", func(n string) string { return c.env[n] }); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestRunRefusesUnknownRoles(t *testing.T) {
	env := func(name string) string { return map[string]string{"SERVICE_VERSION": "v9"}[name] }
	for _, args := range [][]string{nil, {"shop"}, {"reviews"}} {
		if err := run(t.Context(), slog.New(slog.DiscardHandler), args, env); err == nil {
			t.Errorf("run(%v) serves", args)
		}
	}
}

// TestStopFinishesRequests sends SIGTERM during a request, which gets its answer.
func TestStopFinishesRequests(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	ratings := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-proceed
		io.WriteString(w, `{"ratings":{"Reviewer1":3}}`)
	}))
	defer ratings.Close()
	host, port, _ := net.SplitHostPort(ratings.Listener.Addr().String())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, own, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	env := map[string]string{"SERVICE_VERSION": "v2", "RATINGS_HOSTNAME": host, "RATINGS_SERVICE_PORT": port, "PORT": own}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- run(ctx, slog.New(slog.DiscardHandler), []string{"reviews"}, func(n string) string { return env[n] })
	}()
	answer := make(chan string, 1)
	go func() { answer <- eventually(t, "http://127.0.0.1:"+own+"/reviews/0") }()
	<-entered
	cancel()
	close(proceed)
	if got := <-answer; !strings.Contains(got, `"stars":3`) {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// eventually repeats a request until it is answered.
func eventually(t *testing.T, url string) string {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	return "nobody listens"
}
