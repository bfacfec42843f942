package envoy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestRequestThroughBothSidecars lets a request go from a client's real Envoy to a server's, over mutual TLS, and looks at
// what applications rely on.
func TestRequestThroughBothSidecars(t *testing.T) {
	for _, protocol := range []string{"http", "http2"} {
		t.Run(protocol, func(t *testing.T) {
			address := passMesh(t, protocol, passed)
			t.Run("headers", func(t *testing.T) { headersPass(t, address) })
			if protocol == "http" {
				t.Run("websocket", func(t *testing.T) { webSocketPasses(t, address) })
			} else {
				t.Run("trailers", func(t *testing.T) { trailersPass(t, address) })
			}
		})
	}
}

// TestGRPCWeb: the sidecar of a port named grpc-web makes gRPC of gRPC-Web, and puts the trailers, which a browser
// cannot read, into the body. Clients that speak gRPC themselves are served as well.
func TestGRPCWeb(t *testing.T) {
	const message = "\x00\x00\x00\x00\x02hi"
	address := passMesh(t, "grpc-web", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("Content-Type"), body)
		w.Header().Set("Grpc-Status", "7")
	})
	ask := func(contentType string, transport *http.Transport) (*http.Response, string) {
		return post(t, transport, address, strings.NewReader(message), func(r *http.Request) { r.Header.Set("Content-Type", contentType) })
	}
	const got = "HTTP/2.0 application/grpc " + message
	response, body := ask("application/grpc-web", &http.Transport{})
	if trailers, ok := strings.CutPrefix(body, got); !ok || !strings.HasPrefix(trailers, "\x80") || !strings.Contains(trailers, "grpc-status:7") {
		t.Errorf("gRPC-Web: %s %q", response.Status, body)
	}
	response, body = ask("application/grpc", cleartextHTTP2())
	if body != got || response.Trailer.Get("Grpc-Status") != "7" {
		t.Errorf("gRPC: %s %q, trailers %v", response.Status, body, response.Trailer)
	}
}

// passMesh starts an application with its sidecar and a client's, and returns where the client's listens.
func passMesh(t *testing.T, protocol string, serve http.HandlerFunc) (address string) {
	t.Helper()
	app := httptest.NewUnstartedServer(serve)
	app.Config.Protocols = &http.Protocols{}
	app.Config.Protocols.SetHTTP1(true)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, protocol, "STRICT", "/dev/null")
	startServerFor(t, text, port, ca.issue(t, "server"), app.Listener.Addr().String())
	return startOutbound(t, text, "0.0.0.0_80", ca.issue(t, "client")).address
}

// passed answers with the headers that it got, with trailers, or becomes an echo.
func passed(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		connection, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(connection, buffered)
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), v)
		}
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "trailer: %s %d\n", r.Trailer.Get("Checksum"), len(body))
	w.Header().Set("Grpc-Status", "7")
}

// headersPass: what ties a trace together goes through unchanged, and sidecars add no hop of their own.
func headersPass(t *testing.T, address string) {
	kept := map[string]string{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-b3-traceid": "463ac35c9f6413ad48485a3953bb6124",
		"x-request-id": "mine", "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "authorization": "Bearer abc",
	}
	header := http.Header{}
	for name, value := range kept {
		header.Set(name, value)
	}
	header.Set("X-Forwarded-Client-Cert", "URI=spiffe://forged")
	got := client{address}.getHost(t, "server.default", "/", header)
	lines := strings.Split(got.body, "\n")
	for name, value := range kept {
		if !slices.Contains(lines, name+": "+value) {
			t.Errorf("%s: %s did not pass; got %v", name, value, got)
		}
	}
	if strings.Contains(got.body, "forged") || !strings.Contains(got.body, "URI=spiffe://cluster.local/ns/default/sa/client") {
		t.Errorf("the caller's identity is not the proven one: %v", got)
	}
}

// webSocketPasses: bytes go both ways after the upgrade.
func webSocketPasses(t *testing.T, address string) {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(connection, "GET /ws HTTP/1.1\r\nHost: server.default\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101", response.StatusCode)
	}
	_, _ = io.WriteString(connection, "ping\n")
	if line, err := reader.ReadString('\n'); line != "ping\n" {
		t.Errorf("echo %q, %v", line, err)
	}
}

// trailersPass: gRPC puts its status into them.
func trailersPass(t *testing.T, address string) {
	response, body := post(t, cleartextHTTP2(), address, io.MultiReader(strings.NewReader("body")), func(r *http.Request) {
		r.Trailer = http.Header{"Checksum": {"c"}}
	})
	if !strings.Contains(body, "trailer: c 4\n") || response.Trailer.Get("Grpc-Status") != "7" {
		t.Errorf("request's trailer in %q, response's trailer %v", body, response.Trailer)
	}
}

// post sends a body to the server and returns the answer with all of its body, and so with its trailers.
func post(t *testing.T, transport *http.Transport, address string, body io.Reader, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "server.default"
	change(request)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}
