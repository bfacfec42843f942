package lab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// URL returns the forwarded address of a Service's port, named namespace/service/port.
func (l *Lab) URL(ctx context.Context, name string) (string, error) {
	urls, err := l.URLs(ctx)
	if err != nil {
		return "", err
	}
	if url, ok := urls[name]; ok {
		return url, nil
	}
	return "", fmt.Errorf("find url of %s: not forwarded", name)
}

// URLs returns every forwarded address by namespace/service/port.
func (l *Lab) URLs(ctx context.Context) (map[string]string, error) {
	text, err := l.Cluster(ctx, "urls", "--name", l.Name)
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 2 {
			urls[fields[0]] = fields[1]
		}
	}
	return urls, nil
}

// Reply is the answer to one request.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Request is a GET; empty fields have the defaults of net/http.
type Request struct {
	URL    string
	Host   string
	Header map[string]string
	Client *http.Client
}

// Get sends one request from outside the cluster, without following redirects.
func Get(ctx context.Context, r Request) (Reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, nil)
	if err != nil {
		return Reply{}, err
	}
	if r.Host != "" {
		request.Host = r.Host
	}
	for k, v := range r.Header {
		request.Header.Set(k, v)
	}
	client := r.Client
	if client == nil {
		client = plainClient
	}
	response, err := client.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return Reply{Status: response.StatusCode, Header: response.Header, Body: string(body)}, err
}

var plainClient = &http.Client{
	Timeout:       15 * time.Second,
	CheckRedirect: noRedirect,
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
