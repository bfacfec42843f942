package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// server records requests and answers with the status that the path names.
func server(t *testing.T, start func(http.Handler) *httptest.Server) (url string, last func() *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 100)
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		requests <- r
		w.Header().Set("X-Answer", "yes")
		if strings.HasSuffix(r.URL.Path, "/503") {
			w.WriteHeader(503)
		}
		io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s.URL, func() *http.Request { return <-requests }
}

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = curl(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCurl(t *testing.T) {
	url, _ := server(t, httptest.NewServer)
	cases := map[string]struct {
		args []string
		code int
		out  string
	}{
		"Body":           {[]string{url}, 0, "hello"},
		"NoScheme":       {[]string{"-s", strings.TrimPrefix(url, "http://")}, 0, "hello"},
		"Status":         {[]string{"-s", "-o", "/dev/null", "-w", "%{http_code}", url}, 0, "200"},
		"StatusOfError":  {[]string{"-so", "/dev/null", "-w%{http_code}\\n", url + "/503"}, 0, "503\n"},
		"Count":          {[]string{"-s", "-o", "/dev/null", "-w", "%{http_code}", "-n", "3", url}, 0, "200\n200\n200\n"},
		"CountOfOne":     {[]string{"-s", "-o", "/dev/null", "-w", "%{http_code}", "-n", "1", url}, 0, "200\n"},
		"CountOfErrors":  {[]string{"-s", "-o", "/dev/null", "-w", "%{http_code}", "-n", "2", "http://127.0.0.1:1"}, exitConnect, "000\n000\n"},
		"Fail":           {[]string{"-sf", "-o", "/dev/null", url + "/503"}, exitHTTP, ""},
		"NoSuchHost":     {[]string{"-s", "http://name.invalid./"}, exitResolve, ""},
		"FlagAfterURL":   {[]string{url, "-s", "-w", "!"}, 0, "hello!"},
		"Unwritable":     {[]string{"-s", "-o", "/no/such/folder/file", url}, exitWrite, ""},
		"NoURL":          {[]string{"-s"}, exitUsage, ""},
		"NoSuchFlag":     {[]string{"--frobnicate", url}, exitUsage, ""},
		"CountTooLarge":  {[]string{"-n", "1000000", url}, exitUsage, ""},
		"HeaderNoColon":  {[]string{"-H", "nothing", url}, exitUsage, ""},
		"TimeoutNoDigit": {[]string{"-m", "soon", url}, exitUsage, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := run(t, c.args...)
			if code != c.code || out != c.out {
				t.Errorf("exit %d, output %q, error %q; want exit %d, output %q", code, out, stderr, c.code, c.out)
			}
		})
	}
}

func TestCurlSendsMethodHeadersAndBody(t *testing.T) {
	url, last := server(t, httptest.NewServer)
	code, out, _ := run(t, "-s", "-X", "PUT", "-HHost:httpbin.example.com", "-H", "end-user: jason", "-b", "user=jason", "-d", "a=1", "-d", "b=2", url+"/put?x=y")
	if code != 0 || out != "hello" {
		t.Fatalf("exit %d, output %q", code, out)
	}
	r := last()
	body, _ := io.ReadAll(r.Body)
	got := []string{r.Method, r.Host, r.URL.String(), r.Header.Get("End-User"), r.Header.Get("Cookie"), string(body)}
	want := []string{"PUT", "httpbin.example.com", "/put?x=y", "jason", "user=jason", "a=1&b=2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCurlHead(t *testing.T) {
	url, last := server(t, httptest.NewServer)
	_, out, _ := run(t, "-s", "-I", url)
	if !strings.HasPrefix(out, "HTTP/1.1 200 OK\r\n") || !strings.Contains(out, "x-answer: yes\r\n") {
		t.Errorf("printed %q", out)
	}
	if r := last(); r.Method != http.MethodHead {
		t.Errorf("sent %s", r.Method)
	}
}

// TestCurlResolveAndInsecure runs the article's last command: a name that does not resolve, a self-signed certificate.
func TestCurlResolveAndInsecure(t *testing.T) {
	url, last := server(t, httptest.NewTLSServer)
	port := url[strings.LastIndex(url, ":")+1:]
	resolve := "httpbin.example.com:" + port + ":127.0.0.1"
	there := "https://httpbin.example.com:" + port + "/status/200"
	if code, _, stderr := run(t, "--resolve", resolve, "-s", "-k", "-o", filepath.Join(t.TempDir(), "out"), there); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if r := last(); r.Host != "httpbin.example.com:"+port || r.TLS.ServerName != "httpbin.example.com" {
		t.Errorf("host %s, server name %s", r.Host, r.TLS.ServerName)
	}
	if code, _, _ := run(t, "--resolve", resolve, "-s", there); code != exitTLS {
		t.Errorf("a self-signed certificate: exit %d", code)
	}
}

func TestCurlTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	if code, out, _ := run(t, "-s", "-m", "0.05", "-w", "%{http_code}", s.URL); code != exitTimeout || out != "000" {
		t.Errorf("exit %d, output %q", code, out)
	}
}

func TestSleepEndsOnSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- call(ctx, "sleep", []string{"infinity"}) }()
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
	if code := call(t.Context(), "sleep", []string{"0.01"}); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestDuration(t *testing.T) {
	cases := map[string]struct {
		args []string
		want time.Duration
		ok   bool
	}{
		"Nothing":  {nil, -1, true},
		"Infinity": {[]string{"infinity"}, -1, true},
		"Seconds":  {[]string{"90"}, 90 * time.Second, true},
		"Unit":     {[]string{"5m"}, 5 * time.Minute, true},
		"Negative": {[]string{"-5"}, 0, false},
		"Word":     {[]string{"long"}, 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := duration(c.args)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// FuzzParse checks that parsed command lines are complete and bounded.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"-s http://a", "-n 3 -w %{http_code} a:80", "--resolve a:1:::1 a", "-HHost:x --max-time=1 a", "-sko x a"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parse(strings.Fields(line))
		if err != nil {
			return
		}
		if r.url == "" || r.method == "" || r.count < 1 || r.count > maxCount || r.timeout <= 0 || r.timeout > time.Hour {
			t.Errorf("parse(%q) = %+v", line, r)
		}
	})
}
