package login

import (
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A page without scripts; html/template would add half a megabyte to every sidecar's image.
const (
	head = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title>
<style>body{font:16px sans-serif;display:grid;place-items:center;min-height:90vh;background:#f2f4f7;color:#151515}
form{background:#fff;padding:2em;border-radius:6px;box-shadow:0 1px 6px #0003;width:18em}
input,button{font:inherit;width:100%;padding:.5em;margin:.3em 0 1em;box-sizing:border-box}
button{background:#06c;color:#fff;border:0;border-radius:3px;cursor:pointer}p{color:#a30000}</style>
`
	loginForm = `<form method="post"><h1>Service mesh</h1>%s
<label>User name<input name="username" autocomplete="username" autofocus required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form></html>
`
	logoutForm = `<form method="post"><h1>Service mesh</h1><button>Log out</button></form></html>
`
)

// maxForm is the size of a login: two fields.
const maxForm = 4 << 10

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request) {
	if h.sessions.valid(r, h.credentials) {
		http.Redirect(w, r, h.next(r), http.StatusSeeOther) //nolint:gosec // next returns a path of the console
		return
	}
	writePage(w, http.StatusOK, fmt.Sprintf(loginForm, ""))
}

func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form has more than a user name and a password", http.StatusBadRequest)
		return
	}
	verdict, wait := h.authenticate(r, r.PostForm.Get("username"), r.PostForm.Get("password"))
	switch verdict {
	case accepted:
		http.SetCookie(w, cookie(h.o.Root, h.sessions.begin()))
		http.Redirect(w, r, h.next(r), http.StatusSeeOther) //nolint:gosec // next returns a path of the console
	case throttled:
		setRetryAfter(w, wait)
		writePage(w, http.StatusTooManyRequests, formWith(tooMany(wait)))
	case unavailable:
		writePage(w, http.StatusServiceUnavailable, formWith(noCredentials))
	default:
		writePage(w, http.StatusUnauthorized, formWith(wrong))
	}
}

func (h *Handler) serveLogoutPage(w http.ResponseWriter, _ *http.Request) {
	writePage(w, http.StatusOK, logoutForm)
}

func (h *Handler) serveLogout(w http.ResponseWriter, r *http.Request) {
	h.sessions.end(r)
	http.SetCookie(w, cookie(h.o.Root, ""))
	http.Redirect(w, r, h.o.Root+"/login", http.StatusSeeOther)
}

// next is the page that the browser asked for before the login: a path of the console and of nobody else.
func (h *Handler) next(r *http.Request) string {
	home := h.o.Root + "/"
	u, err := url.Parse(r.URL.Query().Get("next"))
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, home) || strings.ContainsAny(u.Path, "\\\r\n") {
		return home
	}
	return u.RequestURI()
}

func formWith(message string) string {
	return fmt.Sprintf(loginForm, "<p>"+html.EscapeString(message)+"</p>")
}

func writePage(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, head+body)
}

func tooMany(wait time.Duration) string {
	return "too many wrong passwords; try again in " + seconds(wait) + " s"
}

func setRetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", seconds(wait))
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
