package tunnel

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Ready is the handler of the readiness probe at path: certificate returns nil, and url, which may lead through the tunnel, is answered
// with a status below 300. The answer to the probe has no part of that answer, because the port is open.
func Ready(path string, certificate func() error, url string) http.Handler {
	target := &http.Client{Timeout: 2 * time.Second}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r, certificate, target, url); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

func ready(r *http.Request, certificate func() error, target *http.Client, url string) error {
	if err := certificate(); err != nil {
		return err
	}
	if url == "" {
		return nil
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := target.Do(request)
	if err != nil {
		return errors.New("the program behind the tunnel does not answer")
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("the program behind the tunnel answers %d", response.StatusCode)
	}
	return nil
}
