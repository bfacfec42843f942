package envoy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestClientProtocols asks through a real Envoy in each version of HTTP, for a service and for a host that the mesh
// does not know.
func TestClientProtocols(t *testing.T) {
	server := serveProtocol(t)
	b := bootstrapFor(t, `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: 'outboundTrafficPolicy: {mode: ALLOW_ANY}'}
---`+reviewsMesh(map[string]string{"v1": server}), "default/client")
	newAuthority(t).issue(t, "client").install(t, b)
	const listener = "0.0.0.0_9080"
	keep := b.StaticResources.Listeners[:0]
	for _, l := range b.StaticResources.Listeners {
		if l.Name == listener {
			l.Address, l.BindToPort = envoytest.Loopback(0), nil
			keep = append(keep, l)
		}
	}
	b.StaticResources.Listeners = keep
	for _, c := range b.StaticResources.Clusters {
		if c.Name == passthroughCluster {
			toAddress(c, server)
		}
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	for name, c := range map[string]struct {
		host string
		http func(t *testing.T, address, host string) string
		want string
	}{
		"HTTP/1.1 to the unknown": {"nobody.example.com", http1, "200 HTTP/1.1"},
		"HTTP/2 to the unknown":   {"nobody.example.com", http2, "200 HTTP/2.0"},
		"HTTP/2 to HTTP/1.1":      {"reviews", http2, "200 HTTP/1.1"},
		"HTTP/1.0":                {"reviews", http10, "200 HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.http(t, e.Listener(listener), c.host); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestServerFirstOnHTTPPort: with ALLOW_ANY the client of an unknown address gets the server's greeting, although some service
// has an HTTP port of that number. The listener of the service itself goes on waiting for an idle client.
func TestServerFirstOnHTTPPort(t *testing.T) {
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			connection, err := server.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(connection, "220 greeting")
		}
	}()
	b := bootstrapFor(t, `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: 'outboundTrafficPolicy: {mode: ALLOW_ANY}'}
---`+reviewsMesh(map[string]string{"v1": server.Addr().String()}), "default/client")
	newAuthority(t).issue(t, "client").install(t, b)
	const wildcard, service = "0.0.0.0_9080", "10.96.0.12_9080"
	b.StaticResources.Listeners = slices.DeleteFunc(b.StaticResources.Listeners, func(l *listenerv3.Listener) bool { return l.Name != wildcard && l.Name != service })
	for _, l := range b.StaticResources.Listeners {
		l.Address, l.BindToPort = envoytest.Loopback(0), nil
	}
	for _, c := range b.StaticResources.Clusters {
		if c.Name == passthroughCluster {
			toAddress(c, server.Addr().String())
		}
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	for listener, want := range map[string]string{wildcard: "220 greeting\n", service: ""} {
		connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", e.Listener(listener))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_ = connection.SetReadDeadline(time.Now().Add((serverFirstTimeout + 4) * time.Second))
		line, err := bufio.NewReader(connection).ReadString('\n')
		if line != want || want == "" && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a silent client gets %q, %v, want %q", listener, line, err, want)
		}
	}
}

// serveProtocol answers with the version of HTTP that it was asked in.
func serveProtocol(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func http1(t *testing.T, address, host string) string {
	return overHTTP(t, &http.Transport{}, address, host)
}

func http2(t *testing.T, address, host string) string {
	return overHTTP(t, cleartextHTTP2(), address, host)
}

func cleartextHTTP2() *http.Transport {
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return transport
}

func overHTTP(t *testing.T, transport *http.Transport, address, host string) string {
	t.Helper()
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	return statusAndBody(t, response)
}

// http10 is what nginx speaks to its upstreams by default.
func http10(t *testing.T, address, host string) string {
	t.Helper()
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(connection, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err.Error()
	}
	return statusAndBody(t, response)
}

func statusAndBody(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body)))
}
