// Package login is a reverse proxy that asks for a user name and a password in front of a console which listens on loopback and has
// no users of its own: Kiali runs with the strategy anonymous behind it. There is one user, whose credentials are in a Secret.
//
//	credentials.go  the Secret's files, and the comparison with what a client sends
//	throttle.go     the wait after wrong passwords
//	session.go      the sessions of browsers
//	page.go         the login page
//
// A browser gets a page and a session cookie, a script sends HTTP Basic with each request. What is forwarded has neither.
package login

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Options configure a Handler.
type Options struct {
	// Target is the console, such as http://127.0.0.1:20002.
	Target *url.URL
	// Root is the path below which the console serves everything, such as /kiali.
	Root string
	// Open are paths that need no login: they say nothing about the mesh.
	Open []string
	// CredentialsDir is where the Secret with the credentials is mounted.
	CredentialsDir string
	Logger         *slog.Logger
}

// Handler is the proxy.
type Handler struct {
	o           Options
	credentials *credentials
	sessions    *sessions
	throttle    *throttle
	console     http.Handler
}

// New returns the proxy. It reads the credentials when a client sends some.
func New(o Options) http.Handler {
	return newHandler(o, bcrypt.DefaultCost, time.Now)
}

func newHandler(o Options, cost int, now func() time.Time) http.Handler {
	h := &Handler{o: o, sessions: newSessions(now), throttle: newThrottle(now), console: forward(o.Target, o.Root)}
	h.credentials = newCredentials(o.CredentialsDir, cost, h.sessions.endAll)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+o.Root+"/login", h.servePage)
	mux.HandleFunc("POST "+o.Root+"/login", h.serveLogin)
	mux.HandleFunc("GET "+o.Root+"/logout", h.serveLogoutPage)
	mux.HandleFunc("POST "+o.Root+"/logout", h.serveLogout)
	mux.HandleFunc(o.Root+"/", h.serveConsole)
	mux.Handle("/{$}", http.RedirectHandler(o.Root+"/", http.StatusFound))
	// A page of another site must not act with the cookie or the password that the browser has.
	return http.NewCrossOriginProtection().Handler(secured(mux))
}

// secured sets headers of every answer: the pages belong into no frame, and what a login shows into no cache of others.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// forward is the proxy to the console. A client names no user of the Kubernetes cluster: that is the console's own account.
func forward(target *url.URL, root string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			r.Out.Header.Del("Authorization")
			for name := range r.Out.Header {
				if strings.HasPrefix(name, "Impersonate-") {
					r.Out.Header.Del(name)
				}
			}
			cookies := r.Out.Cookies()
			r.Out.Header.Del("Cookie")
			for _, c := range cookies {
				if c.Name != cookieName {
					r.Out.AddCookie(c)
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "the console behind "+root+"/ does not answer", http.StatusBadGateway)
		},
	}
}

// serveConsole forwards what is open or authenticated. Others are sent to the login page where they can show one, and get 401 where
// they cannot.
func (h *Handler) serveConsole(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(h.o.Open, r.URL.Path) {
		h.console.ServeHTTP(w, r)
		return
	}
	name, password, basic := r.BasicAuth()
	switch {
	case basic:
		if h.check(w, r, name, password) {
			h.console.ServeHTTP(w, r)
		}
	case h.sessions.valid(r, h.credentials):
		h.console.ServeHTTP(w, r)
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r, h.o.Root+"/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		refuse(w, http.StatusUnauthorized, "log in at "+h.o.Root+"/login, or send user name and password as HTTP Basic")
	}
}

// check compares Basic credentials and answers when they are wrong. There is no WWW-Authenticate for requests without any: the
// browser would show a window of its own in place of the page.
func (h *Handler) check(w http.ResponseWriter, r *http.Request, name, password string) bool {
	verdict, wait := h.authenticate(r, name, password)
	switch verdict {
	case accepted:
		return true
	case throttled:
		setRetryAfter(w, wait)
		refuse(w, http.StatusTooManyRequests, tooMany(wait))
	case unavailable:
		refuse(w, http.StatusServiceUnavailable, noCredentials)
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="mesh", charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized, wrong)
	}
	return false
}

// The answers to a login.
const (
	wrong         = "wrong user name or password"
	noCredentials = "the credentials of this console cannot be read; see the log of container login"
)

type verdict int

const (
	refused verdict = iota
	accepted
	throttled
	unavailable
)

// authenticate compares credentials unless the client's address has to wait.
func (h *Handler) authenticate(r *http.Request, name, password string) (verdict, time.Duration) {
	address := clientOf(r)
	if h.credentials.remembers(name, password) { // a script that sends Basic with each request
		return accepted, 0
	}
	if wait := h.throttle.wait(address); wait > 0 {
		return throttled, wait
	}
	ok, err := h.credentials.match(r.Context(), name, password)
	if err != nil {
		h.o.Logger.Error("credentials not read", "error", err)
		return unavailable, 0
	}
	if !ok {
		h.throttle.failed(address)
		h.o.Logger.Warn("login refused", "client", address)
		return refused, 0
	}
	h.throttle.succeeded(address)
	return accepted, 0
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":"`+message+`"}`+"\n") // messages of this package need no escapes
}
