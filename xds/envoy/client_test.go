package envoy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// client is an Envoy that has a sidecar's outbound configuration, of which one listener is bound.
type client struct{ address string }

type answer struct {
	status int
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

func (c client) get(t *testing.T, path string, header http.Header) answer {
	t.Helper()
	return c.getHost(t, "reviews:9080", path, header)
}

func (c client) getHost(t *testing.T, host, path string, header http.Header) answer {
	t.Helper()
	return c.ask(t, http.MethodGet, host, path, header)
}

// ask sends a request; without an answer the status is 0 and the body says why.
func (c client) ask(t *testing.T, method, host, path string, header http.Header) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.address, nil)
	if err != nil {
		return answer{0, err.Error()}
	}
	request.URL.Opaque, request.Host = path, host // sent as it is written
	request.Close = true                          // a TCP connection is logged when it ends
	for k, v := range header {
		request.Header[k] = v
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return answer{0, err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{0, err.Error()}
	}
	return answer{response.StatusCode, string(body)}
}

// startOutbound binds the named outbound listener of pod default/client to a loopback port.
func startOutbound(t *testing.T, text, listener string, identity *identity, more ...*tlsv3.Secret) client {
	t.Helper()
	c, _ := runOutbound(t, text, listener, identity, more...)
	return c
}

// runOutbound is startOutbound for a test that looks into the Envoy too.
func runOutbound(t *testing.T, text, listener string, identity *identity, more ...*tlsv3.Secret) (client, *envoytest.Envoy) {
	t.Helper()
	b := bootstrapFor(t, text, "default/client")
	b.StaticResources.Secrets = append(b.StaticResources.Secrets, more...)
	identity.install(t, b)
	keep := b.StaticResources.Listeners[:0]
	for _, l := range b.StaticResources.Listeners {
		if l.Name == listener {
			l.Address, l.BindToPort = envoytest.Loopback(0), nil
			keep = append(keep, l)
		}
	}
	if b.StaticResources.Listeners = keep; len(keep) != 1 {
		t.Fatalf("there are %d listeners %s", len(keep), listener)
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	return client{e.Listener(listener)}, e
}
