package envoy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSessionAffinity: of a Service with sessionAffinity: ClientIP each client address gets one endpoint, and all clients
// together more than one: by the default route, by a rule's, and over TCP. A rule's load balancer counts more.
func TestSessionAffinity(t *testing.T) {
	addresses := map[string]string{}
	for i := range 4 {
		name := fmt.Sprintf("v%d", i)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		t.Cleanup(server.Close)
		addresses[name] = server.Listener.Addr().String()
	}
	const balanced = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
`
	plain, ca := reviewsMesh(addresses), newAuthority(t)
	affine := strings.Replace(plain, "clusterIP:", "sessionAffinity: ClientIP, clusterIP:", 1)
	rule := rulesOfReviews("", "\n  - route: [{destination: {host: reviews}}]")
	for name, c := range map[string]struct {
		text, listener string
		want           bool
	}{
		"no affinity":           {plain, "0.0.0.0_9080", false},
		"default route":         {affine, "0.0.0.0_9080", true},
		"route of a rule":       {affine + rule, "0.0.0.0_9080", true},
		"load balancer of rule": {affine + balanced, "0.0.0.0_9080", false},
		"TCP":                   {strings.ReplaceAll(affine, "name: http", "name: tcp"), "10.96.0.12_9080", true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, all := startOutbound(t, c.text, c.listener, ca.issue(t, "client")), map[string]bool{}
			affinity := true
			for client := range 20 {
				own := map[string]bool{}
				for range 5 {
					answer := getFrom(t, fmt.Sprintf("127.0.1.%d", client+1), proxy.address)
					own[answer], all[answer] = true, true
				}
				affinity = affinity && len(own) == 1
			}
			if affinity != c.want || len(all) < 2 {
				t.Errorf("each client has one endpoint: %v, want %v; all clients have %v", affinity, c.want, all)
			}
		})
	}
}

// getFrom sends a request from an address of this machine, over a connection of its own, and returns the body.
func getFrom(t *testing.T, source, address string) string {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	caller := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "reviews"
	response, err := caller.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}
