package scenarios

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// unlisted is a pod without a Service. One of its ports is also a port of HTTP services, where sidecars match the host of each
// request; no service has the other port.
const unlisted = `
apiVersion: v1
kind: Pod
metadata: {name: unlisted, labels: {app: unlisted}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: http
    image: quay.io/mesh-operator/httpbin:0.1.0
    env: [{name: PORT, value: "9080"}]
    readinessProbe: {httpGet: {path: /health, port: 9080}, periodSeconds: 1}
  - name: other
    image: quay.io/mesh-operator/httpbin:0.1.0
    env: [{name: PORT, value: "7777"}]
    readinessProbe: {httpGet: {path: /health, port: 7777}, periodSeconds: 1}
`

// external makes the pod known, as a host outside of the mesh, with the timeout of the seed.
const external = `
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: httpbin-ext}
spec:
  hosts: [httpbin.external]
  addresses: [%s]
  ports:
  - {number: 9080, name: http, protocol: HTTP}
  - {number: 7777, name: tcp, protocol: TCP}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: httpbin-ext}
spec:
  hosts: [httpbin.external]
  http:
  - timeout: 3s
    route: [{destination: {host: httpbin.external}, weight: 100}]
`

// TestInstallationOutboundPolicy calls a pod without a Service: REGISTRY_ONLY, the default, refuses it until a ServiceEntry names it, and
// ALLOW_ANY allows it.
func TestInstallationOutboundPolicy(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	plaintextClient(t)
	apply(t, outside, unlisted)
	var address string
	must(t, lab.Until(within(t, 2*time.Minute), "the pod is ready", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, outside, "app=unlisted")
		if err == nil {
			address = pod.Status.PodIP
		}
		return err
	}))
	http, other := fmt.Sprintf("http://%s:9080/status/200", address), fmt.Sprintf("http://%s:7777/status/200", address)
	eventuallyStatus(t, "it answers a pod without a sidecar", 200, outside, other)
	refused := func(t *testing.T) {
		t.Helper()
		eventuallyStatus(t, "HTTP to an unknown host is refused", 502, bookinfo, http)
		eventuallyStatus(t, "a connection to an unknown address is closed", 0, bookinfo, other)
	}
	refused(t)
	t.Run("ServiceEntry", func(t *testing.T) {
		apply(t, bookinfo, fmt.Sprintf(external, address))
		eventuallyStatus(t, "HTTP to the host is answered", 200, bookinfo, http)
		eventuallyStatus(t, "a connection to its address is answered", 200, bookinfo, other)
		eventuallyStatus(t, "a request that takes longer than the rule allows ends", 504, bookinfo, fmt.Sprintf("http://%s:9080/delay/9", address))
	})
	refused(t)
	t.Run("ALLOW_ANY", func(t *testing.T) {
		edit(t, `{"spec":{"mesh":{"outboundTrafficPolicy":"ALLOW_ANY"}}}`)
		eventuallyStatus(t, "HTTP to an unknown host is answered", 200, bookinfo, http)
		eventuallyStatus(t, "a connection to an unknown address is answered", 200, bookinfo, other)
		eventuallyStatus(t, "services of the mesh are answered", 200, bookinfo, "http://details:9080/details/0")
		serverSpeaksFirst(t)
	})
	refused(t)
}

// tenantService has an HTTP port on the number of a protocol in which the server speaks first.
const tenantService = `
apiVersion: v1
kind: Service
metadata: {name: tenant}
spec: {ports: [{name: http, port: 3306}]}
`

// serverSpeaksFirst connects to a server without a Service on a port on which some Service speaks HTTP: the client gets the
// server's greeting although it says nothing.
func serverSpeaksFirst(t *testing.T) {
	apply(t, outside, tenantService)
	eventuallyStatus(t, "the port is HTTP in the mesh", 503, bookinfo, "http://tenant."+outside+":3306/")
	server, err := mesh.RunningPod(within(t, 30*time.Second), outside, "app=unlisted")
	must(t, err)
	var listener net.Listener
	must(t, mesh.InNetwork(server, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(server.Status.PodIP, "3306"))
		return err
	}))
	defer listener.Close()
	go greet(listener)
	client, err := mesh.RunningPod(within(t, 30*time.Second), bookinfo, "app=sleep")
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "the client gets the greeting", func(ctx context.Context) error {
		var connection net.Conn
		err := mesh.InNetwork(client, func() (err error) {
			connection, err = (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
			return err
		})
		if err != nil {
			return err
		}
		defer connection.Close()
		if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		line, err := bufio.NewReader(connection).ReadString('\n')
		if err == nil && line != greeting {
			err = fmt.Errorf("got %q", line)
		}
		return err
	}))
}

const greeting = "hello\n"

// greet says hello to each client until the listener is closed.
func greet(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = connection.Write([]byte(greeting)) // a failure shows at the client
		_ = connection.Close()
	}
}
