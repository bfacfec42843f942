package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // the type of client-go's portforward
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streaming "k8s.io/streaming/pkg/httpstream" // whose errors the dialer over a WebSocket returns
)

// forwardTarget is a port of a pod.
type forwardTarget struct {
	namespace, pod string
	port           int32
}

// startForward forwards a port of this machine, any that is free if it is 0, until ctx ends. The channel gets the error with which it ended.
func startForward(ctx context.Context, config *rest.Config, client kubernetes.Interface, target forwardTarget, port int) (*portforward.PortForwarder, <-chan error, error) {
	dialer, err := forwardDialer(config, client, target)
	if err != nil {
		return nil, nil, fmt.Errorf("forward a port: %w", err)
	}
	ready, done := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("%d:%d", port, target.port)}, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, nil, fmt.Errorf("forward a port: %w", err)
	}
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
		return forwarder, done, nil
	case err := <-done:
		return nil, nil, fmt.Errorf("forward a port to pod %s/%s: %w", target.namespace, target.pod, err)
	}
}

// forwardDialer connects over a WebSocket, which passes most proxies, or over SPDY where the API server or a proxy has none.
func forwardDialer(config *rest.Config, client kubernetes.Interface, target forwardTarget) (httpstream.Dialer, error) {
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(target.namespace).Name(target.pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(overWebSocket, overSPDY, func(err error) bool {
		return streaming.IsUpgradeFailure(err) || streaming.IsHTTPSProxyError(err)
	}), nil
}
