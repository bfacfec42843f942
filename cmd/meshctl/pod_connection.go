package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // the type of client-go's portforward
	"k8s.io/client-go/tools/portforward"
)

// dialForwarded connects to a pod's port as kubectl port-forward does, but without a port on this machine, which every user of it
// could connect to.
func dialForwarded(dialer httpstream.Dialer, target forwardTarget) (net.Conn, error) {
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("connect to port %d of pod %s/%s: %w", target.port, target.namespace, target.pod, err)
	}
	data, err := forwardedStream(connection, target.port)
	if err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("connect to port %d of pod %s/%s: %w", target.port, target.namespace, target.pod, err)
	}
	return &podConn{Stream: data, connection: connection}, nil
}

// forwardedStream opens the two streams of a forwarded connection: errors of the kubelet, and the bytes. An error ends the connection.
func forwardedStream(connection httpstream.Connection, port int32) (httpstream.Stream, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failures.Close() // this side writes nothing
	go func() {
		if text, _ := io.ReadAll(io.LimitReader(failures, 1<<10)); len(text) > 0 {
			_ = connection.Close()
		}
	}()
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	return connection.CreateStream(headers)
}

// podConn is the data stream as a connection. It has no deadlines: whoever uses it closes it.
type podConn struct {
	httpstream.Stream
	connection httpstream.Connection
}

func (c *podConn) Close() error                     { return c.connection.Close() }
func (c *podConn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "portforward"} }
func (c *podConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "pod"} }
func (c *podConn) SetDeadline(time.Time) error      { return nil }
func (c *podConn) SetReadDeadline(time.Time) error  { return nil }
func (c *podConn) SetWriteDeadline(time.Time) error { return nil }
