package kube

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// acceptance records whether the API server accepted the credentials of the last request. A role whose ServiceAccount is
// deleted and created again has tokens of the old account: its open watches go on for minutes, and then it sees no change
// any more, without an error of its own.
type acceptance struct {
	refused atomic.Bool
}

// check fails while the API server answers 401.
func (a *acceptance) check() error {
	if a.refused.Load() {
		return errors.New("the API server refuses the token of this pod (401 Unauthorized); was its ServiceAccount created again?")
	}
	return nil
}

func (a *acceptance) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		switch {
		case err != nil || response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests:
			// No answer about the credentials: 429 and some 5xx are sent before they are looked at.
		default:
			a.refused.Store(response.StatusCode == http.StatusUnauthorized)
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
