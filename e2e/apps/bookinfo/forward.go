package main

import (
	"net/http"
	"net/url"
	"strings"
)

// forwarded are the headers of a request that calls for it must repeat: the mesh can only trace and route a call by the headers
// that the application forwards.
var forwarded = []string{
	"X-Request-Id",
	"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "B3",
	"Traceparent", "Tracestate", "Baggage",
	"X-Ot-Span-Context", "X-Cloud-Trace-Context", "X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority",
	"Authorization", "User-Agent", "Cookie",
	endUser,
}

// endUser is the header with the name of the user; rules match it.
const endUser = "End-User"

// sessionCookie holds the name of who is logged in. There is no password: this is a sample.
const sessionCookie = "user"

// forward copies the headers of a request to a call that it causes. The user of the session goes in a header of their own.
func forward(from, to *http.Request) {
	for _, name := range forwarded {
		if values := from.Header.Values(name); len(values) > 0 {
			to.Header[name] = values
		}
	}
	if user := userOf(from); user != "" {
		to.Header.Set(endUser, user)
	}
}

// userOf returns who is logged in, or nothing.
func userOf(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	user, err := url.QueryUnescape(cookie.Value)
	if err != nil || !validUser(user) {
		return ""
	}
	return user
}

// validUser refuses what could not be a header's value.
func validUser(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })
}
