package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"stars": func(n int) string {
		n = max(0, min(n, 5))
		return strings.Repeat("★", n) + strings.Repeat("☆", 5-n)
	},
}).Parse(pageText))

// part is the answer of another service, or its error.
type part[T any] struct {
	Body   T
	Status int
	Failed bool
}

type page struct {
	Product product
	User    string
	Pod     string
	Details part[bookDetails]
	Reviews part[bookReviews]
}

func (s *service) routePage(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /index.html", s.page)
	mux.HandleFunc("GET /productpage", s.page)
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /logout", logout)
	mux.HandleFunc("GET /api/v1/products", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, products) })
	mux.HandleFunc("GET /api/v1/products/{id}", func(w http.ResponseWriter, r *http.Request) { relay[bookDetails](s, w, r, "details") })
	mux.HandleFunc("GET /api/v1/products/{id}/reviews", func(w http.ResponseWriter, r *http.Request) { relay[bookReviews](s, w, r, "reviews") })
	mux.HandleFunc("GET /api/v1/products/{id}/ratings", func(w http.ResponseWriter, r *http.Request) { relay[bookRatings](s, w, r, "ratings") })
}

// page calls details and reviews at the same time and shows their answers.
func (s *service) page(w http.ResponseWriter, r *http.Request) {
	p := page{Product: products[0], User: userOf(r), Pod: s.pod}
	id := strconv.Itoa(p.Product.ID)
	var wg sync.WaitGroup
	wg.Go(func() { p.Details = ask[bookDetails](s, r, "details", "/details/"+id) })
	wg.Go(func() { p.Reviews = ask[bookReviews](s, r, "reviews", "/reviews/"+id) })
	wg.Wait()
	var html bytes.Buffer
	if err := pageTemplate.Execute(&html, p); err != nil {
		s.logger.Error("the page has no shape", "error", err)
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // a reload must call the services again
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = w.Write(html.Bytes())
}

func ask[T any](s *service, r *http.Request, role, path string) part[T] {
	var p part[T]
	status, err := s.call(r.Context(), r, role, path, &p.Body)
	if err != nil {
		s.logger.Warn("the page lacks a part", "part", role, "error", err)
	}
	p.Status, p.Failed = status, err != nil
	return p
}

// relay returns another service's answer about a product.
func relay[T any](s *service, w http.ResponseWriter, r *http.Request, role string) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "please provide numeric product ID")
		return
	}
	p := ask[T](s, r, role, "/"+role+"/"+strconv.Itoa(id))
	switch {
	case !p.Failed:
		reply(w, http.StatusOK, p.Body)
	case p.Status >= 400:
		refuse(w, p.Status, "Sorry, product "+role+" are currently unavailable for this book.")
	default:
		refuse(w, http.StatusServiceUnavailable, "Sorry, product "+role+" are currently unavailable for this book.")
	}
}

// login accepts any name. The cookie holds only the name, because rules match it as it is: user=jason.
func login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	user := strings.TrimSpace(r.PostFormValue("username"))
	if user == "" || !validUser(user) {
		refuse(w, http.StatusBadRequest, "please provide a user name of up to 64 plain characters")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: url.QueryEscape(user), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/productpage", http.StatusSeeOther)
}

func logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/productpage", http.StatusSeeOther)
}
