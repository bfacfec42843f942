package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// The exit codes of curl that scripts check.
const (
	exitUsage    = 2
	exitResolve  = 6
	exitConnect  = 7
	exitHTTP     = 22
	exitWrite    = 23
	exitTimeout  = 28
	exitTLS      = 35
	exitReceive  = 56
	exitCanceled = 130
)

// curl sends the request of a command line, count times one after another, and returns the exit code of the last failure.
func curl(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	r, err := parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "curl: error:", err)
		return exitUsage
	}
	client := r.client()
	code := 0
	for range r.count {
		if ctx.Err() != nil {
			return exitCanceled
		}
		if failed := r.once(ctx, client, stdout, stderr); failed != 0 {
			code = failed
		}
	}
	return code
}

// client keeps connections between the requests of one call, as a busy application would.
func (r *request) client() *http.Client {
	dialer := &net.Dialer{Timeout: r.connect}
	client := &http.Client{
		Timeout: r.timeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if to, ok := r.resolve[address]; ok {
					address = to
				}
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: r.insecure, MinVersion: tls.VersionTLS12}, // -k asks for it
			ForceAttemptHTTP2:  true,
			DisableCompression: true,
		},
	}
	if !r.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

// result has the variables of --write-out.
type result struct {
	status int
	size   int64
	took   time.Duration
	proto  string
}

// once sends one request. The write-out line is printed also when there is no answer, with status 000, so that lines can
// be counted.
func (r *request) once(ctx context.Context, client *http.Client, stdout, stderr io.Writer) int {
	started := time.Now()
	var got result
	err := r.send(ctx, client, stdout, &got)
	got.took = time.Since(started)
	if r.write != "" {
		line := expand(r.write, got)
		if r.lines {
			line = strings.TrimSuffix(line, "\n") + "\n"
		}
		fmt.Fprint(stdout, line)
	}
	if err != nil {
		if !r.silent || r.showErr {
			fmt.Fprintln(stderr, "curl: error:", err)
		}
		return exitCode(err)
	}
	if r.fail && got.status >= 400 {
		if !r.silent || r.showErr {
			fmt.Fprintf(stderr, "curl: error: status %d\n", got.status)
		}
		return exitHTTP
	}
	return 0
}

func (r *request) send(ctx context.Context, client *http.Client, stdout io.Writer, got *result) error {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return err
	}
	req.Header = r.header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host // net/http sends this, not the header
	}
	if r.body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "curl")
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got.status, got.proto = resp.StatusCode, strings.TrimPrefix(resp.Proto, "HTTP/")
	return r.show(resp, stdout, got)
}

func (r *request) show(resp *http.Response, stdout io.Writer, got *result) error {
	out := stdout
	if r.output != "" && r.output != "-" {
		file, err := os.OpenFile(r.output, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
		if err != nil {
			return &writeError{err}
		}
		defer file.Close()
		out = file
	}
	if r.include || r.head {
		printHead(out, resp)
	}
	n, err := io.Copy(out, resp.Body)
	got.size = n
	return err
}

func printHead(w io.Writer, resp *http.Response) {
	fmt.Fprintf(w, "%s %s\r\n", resp.Proto, resp.Status)
	var names []string
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range resp.Header[name] {
			fmt.Fprintf(w, "%s: %s\r\n", strings.ToLower(name), value)
		}
	}
	fmt.Fprint(w, "\r\n")
}

// expand fills in the variables of a write-out format.
func expand(format string, got result) string {
	return strings.NewReplacer(
		"%{http_code}", fmt.Sprintf("%03d", got.status),
		"%{response_code}", fmt.Sprintf("%03d", got.status),
		"%{http_version}", got.proto,
		"%{size_download}", fmt.Sprint(got.size),
		"%{time_total}", fmt.Sprintf("%.6f", got.took.Seconds()),
		`\n`, "\n", `\t`, "\t", "%%", "%",
	).Replace(format)
}

// writeError is a failed write to a local file.
type writeError struct{ error }

func exitCode(err error) int {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var write *writeError
	switch {
	case errors.Is(err, context.Canceled):
		return exitCanceled
	case errors.As(err, &write):
		return exitWrite
	case errors.As(err, &dns):
		return exitResolve
	case errors.As(err, &timeout) && timeout.Timeout():
		return exitTimeout
	case errors.As(err, &certificate), errors.As(err, &record):
		return exitTLS
	case errors.As(err, &op) && op.Op == "dial":
		return exitConnect
	}
	return exitReceive
}
