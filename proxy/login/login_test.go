package login

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// console is a proxy in front of a server that answers with the headers that reached it.
type console struct {
	t       *testing.T
	handler http.Handler
	dir     string
	clock   time.Time
}

func newConsole(t *testing.T) *console {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.URL.Path)
		_ = r.Header.Write(w)
	}))
	t.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, dir: t.TempDir(), clock: time.Now()}
	c.secret(map[string]string{"username": "admin", "password": "letmein\n"})
	c.handler = newHandler(Options{
		Target: target, Root: "/kiali", Open: []string{"/kiali/healthz"}, CredentialsDir: c.dir, Logger: slog.New(slog.DiscardHandler),
	}, bcrypt.MinCost, func() time.Time { return c.clock })
	return c
}

// secret replaces the files of the Secret.
func (c *console) secret(data map[string]string) {
	c.t.Helper()
	for _, key := range []string{"username", "password", "passwordHash"} {
		path := filepath.Join(c.dir, key)
		if text, ok := data[key]; !ok {
			_ = os.Remove(path)
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *console) send(method, path string, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	if change != nil {
		change(r)
	}
	return c.do(r)
}

func (c *console) do(r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

func (c *console) login(password, query string) *http.Response {
	form := url.Values{"username": {"admin"}, "password": {password}}
	r := httptest.NewRequest(http.MethodPost, "/kiali/login"+query, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

func basic(password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth("admin", password) }
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPagesRedirectAndAPIsRefuse: without credentials a page leads to the login, and an API says what is missing.
func TestPagesRedirectAndAPIsRefuse(t *testing.T) {
	c := newConsole(t)
	html := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	for name, test := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
		location     string
	}{
		"a page":                       {"GET", "/kiali/console/graph?namespaces=a", html, 303, "/kiali/login?next=%2Fkiali%2Fconsole%2Fgraph%3Fnamespaces%3Da"},
		"an API":                       {"GET", "/kiali/api/status", nil, 401, ""},
		"a write":                      {"POST", "/kiali/api/istio", html, 401, ""},
		"health":                       {"GET", "/kiali/healthz", nil, 200, ""},
		"a write to health":            {"POST", "/kiali/healthz", nil, 401, ""},
		"a path that begins as health": {"GET", "/kiali/healthz/x", nil, 401, ""},
		"health with escapes":          {"GET", "/kiali/healthz%2f..%2fapi", nil, 401, ""},
		"the root":                     {"GET", "/", nil, 302, "/kiali/"},
		"outside":                      {"GET", "/other", nil, 404, ""},
		"a bearer token":               {"GET", "/kiali/api/status", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, ""},
		"a cookie of nobody": {"GET", "/kiali/api/status", func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: cookieName, Value: "AAAA"})
		}, 401, ""},
	} {
		reply := c.send(test.method, test.path, test.change)
		if reply.StatusCode != test.status || reply.Header.Get("Location") != test.location {
			t.Errorf("%s: status %d, location %q, want %d, %q", name, reply.StatusCode, reply.Header.Get("Location"), test.status, test.location)
		}
		if reply.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: the browser would ask for the password by itself", name)
		}
	}
}

// TestWrongPasswordsWait: after three wrong passwords each further one costs a wait, in which the right one is not let in either.
func TestWrongPasswordsWait(t *testing.T) {
	c := newConsole(t)
	count := map[int]int{}
	for i := range 10 {
		count[c.login(fmt.Sprint("guess", i), "").StatusCode]++
	}
	if count[401] != 3 || count[429] != 7 {
		t.Errorf("ten wrong passwords at once: %v, want 3 compared and 7 not", count)
	}
	reply := c.login("letmein", "")
	if reply.StatusCode != 429 || reply.Header.Get("Retry-After") != "1" {
		t.Errorf("the right one in the wait: status %d, Retry-After %q", reply.StatusCode, reply.Header.Get("Retry-After"))
	}
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		wait := time.Duration(seconds) * time.Second
		c.clock = c.clock.Add(wait - time.Millisecond)
		if status := c.login("guess", "").StatusCode; status != 429 {
			t.Errorf("shortly before %s have passed: status %d", wait, status)
		}
		c.clock = c.clock.Add(time.Millisecond)
		if status := c.send("GET", "/kiali/api/status", basic("guess")).StatusCode; status != 401 {
			t.Errorf("after %s: status %d", wait, status)
		}
	}
	other := func(r *http.Request) { r.SetBasicAuth("admin", "letmein"); r.RemoteAddr = "192.0.2.77:1" }
	if status := c.send("GET", "/kiali/api/status", other).StatusCode; status != 200 {
		t.Errorf("another client meanwhile: status %d", status)
	}
	c.clock = c.clock.Add(time.Minute)
	if status := c.login("letmein", "").StatusCode; status != 303 {
		t.Errorf("the right one after the wait: status %d", status)
	}
	if status := c.login("guess", "").StatusCode; status != 401 {
		t.Errorf("a typing error after that: status %d", status)
	}
}

// TestSession logs in, uses the console, and logs out.
func TestSession(t *testing.T) {
	c := newConsole(t)
	reply := c.login("letmein", "?next=/kiali/console/graph?a=b")
	if reply.StatusCode != 303 || reply.Header.Get("Location") != "/kiali/console/graph?a=b" || len(reply.Cookies()) != 1 {
		t.Fatalf("status %d, location %s, cookies %v", reply.StatusCode, reply.Header.Get("Location"), reply.Cookies())
	}
	session := reply.Cookies()[0]
	if !session.HttpOnly || !session.Secure || session.SameSite != http.SameSiteLaxMode || session.Path != "/kiali" {
		t.Errorf("the cookie is %s", session)
	}
	use := func(r *http.Request) {
		r.AddCookie(session)
		r.AddCookie(&http.Cookie{Name: "own", Value: "1"})
		r.Header.Set("Impersonate-User", "system:admin")
	}
	reply = c.send("GET", "/kiali/api/status", use)
	if text := body(t, reply); reply.StatusCode != 200 || !strings.Contains(text, "own=1") || strings.Contains(text, session.Value) || strings.Contains(text, "Impersonate") {
		t.Errorf("the console got:\n%s", text)
	}
	if status := c.send("POST", "/kiali/logout", use).StatusCode; status != 303 {
		t.Errorf("logout: status %d", status)
	}
	if status := c.send("GET", "/kiali/api/status", use).StatusCode; status != 401 {
		t.Errorf("the cookie after the logout: status %d", status)
	}
	session = c.login("letmein", "").Cookies()[0]
	c.clock = c.clock.Add(lifetime)
	if status := c.send("GET", "/kiali/api/status", use).StatusCode; status != 401 {
		t.Errorf("the cookie after %s: status %d", lifetime, status)
	}
}

// TestBasic: the console never sees the password.
func TestBasic(t *testing.T) {
	c := newConsole(t)
	for range 2 {
		reply := c.send("DELETE", "/kiali/api/x", basic("letmein"))
		if text := body(t, reply); reply.StatusCode != 200 || strings.Contains(text, "Authorization") {
			t.Errorf("status %d:\n%s", reply.StatusCode, text)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"a wrong password": basic("x"),
		"a wrong name":     func(r *http.Request) { r.SetBasicAuth("root", "letmein") },
		"no password":      basic(""),
	} {
		c.clock = c.clock.Add(time.Hour)
		if status := c.send("GET", "/kiali/api/x", change).StatusCode; status != 401 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

// TestSecretChanges: a new password ends the sessions of the old one, and a Secret that is damaged lets nobody in.
func TestSecretChanges(t *testing.T) {
	c := newConsole(t)
	session := c.login("letmein", "").Cookies()[0]
	use := func(r *http.Request) { r.AddCookie(session) }
	if status := c.send("GET", "/kiali/api/x", use).StatusCode; status != 200 {
		t.Fatalf("status %d", status)
	}
	long := strings.Repeat("long", 30)
	hash, err := bcrypt.GenerateFromPassword([]byte("hashed"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]struct {
		data   map[string]string
		status map[string]int // by password
	}{
		"a hash":          {map[string]string{"username": "admin", "passwordHash": string(hash)}, map[string]int{"hashed": 200, "letmein": 401}},
		"a long password": {map[string]string{"username": "admin", "password": long}, map[string]int{long: 200, long[:72]: 401}},
		"no hash":         {map[string]string{"username": "admin", "passwordHash": "letmein"}, map[string]int{"letmein": 503}},
		"an empty one":    {map[string]string{"username": "admin", "password": "\n"}, map[string]int{"": 503, "letmein": 503}},
		"no name":         {map[string]string{"password": "letmein"}, map[string]int{"letmein": 503}},
	} {
		c.secret(step.data)
		if status := c.send("GET", "/kiali/api/x", use).StatusCode; status != 401 {
			t.Errorf("%s: the session of the old password: status %d", name, status)
		}
		for password, want := range step.status {
			if status := c.send("GET", "/kiali/api/x", basic(password)).StatusCode; status != want {
				t.Errorf("%s: %.8s: status %d, want %d", name, password, status, want)
			}
			c.clock = c.clock.Add(time.Hour)
		}
	}
}

// TestLoginLeadsToTheConsoleOnly: a link cannot send a user elsewhere after the login, and another site's page cannot act as the user.
func TestLoginLeadsToTheConsoleOnly(t *testing.T) {
	c := newConsole(t)
	for _, next := range []string{"https://evil.example/kiali/", "//evil.example/kiali/", "/other", "/kiali/\\evil", "javascript:alert(1)", "%zz"} {
		if location := c.login("letmein", "?next="+url.QueryEscape(next)).Header.Get("Location"); location != "/kiali/" {
			t.Errorf("%s leads to %s", next, location)
		}
	}
	crossSite := func(r *http.Request) {
		r.SetBasicAuth("admin", "letmein")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	if status := c.send("POST", "/kiali/api/istio", crossSite).StatusCode; status != 403 {
		t.Errorf("a page of another site: status %d", status)
	}
}

// TestMemoryIsBounded: clients without a password and browsers that never log out take a limited amount.
func TestMemoryIsBounded(t *testing.T) {
	now := time.Now()
	limit, all := newThrottle(func() time.Time { return now }), newSessions(func() time.Time { return now })
	for i := range maxAddresses + 100 {
		limit.failed(fmt.Sprint(i))
	}
	if len(limit.failures) > maxAddresses+1 {
		t.Errorf("%d addresses", len(limit.failures))
	}
	if limit.wait("new") == 0 {
		t.Error("a new address beyond the limit does not wait")
	}
	now = now.Add(2 * forgetAfter)
	limit.failed("new")
	if len(limit.failures) != 1 {
		t.Errorf("%d addresses are remembered after %s", len(limit.failures), 2*forgetAfter)
	}
	for range maxSessions + 100 {
		all.begin()
	}
	if len(all.expires) > maxSessions {
		t.Errorf("%d sessions", len(all.expires))
	}
}

func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3::1]:80": "2001:db8:1:2::/64", "pipe": "pipe",
	} {
		if got := clientOf(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}
