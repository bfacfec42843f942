package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3" // packed in listeners
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// proxy is one delta stream that asks for what Envoy asks for and acknowledges everything.
type proxy struct {
	node     string
	stream   grpc.ClientStream
	received tally

	clusters, listeners, routes map[string]bool
	answered                    map[string]bool // types that were answered once
	ready                       atomic.Int64    // when it had everything the first time; unix nanoseconds
}

// tally counts what a server said; the reader of the stream writes it, others read it.
type tally struct {
	messages, bytes atomic.Int64
	last            atomic.Int64 // when the last message was acknowledged; unix nanoseconds
}

const typePrefix = "type.googleapis.com/envoy.config."

var typeURLs = map[string]string{
	"Cluster": typePrefix + "cluster.v3.Cluster", "ClusterLoadAssignment": typePrefix + "endpoint.v3.ClusterLoadAssignment",
	"Listener": typePrefix + "listener.v3.Listener", "RouteConfiguration": typePrefix + "route.v3.RouteConfiguration",
}

// connect opens a connection of its own, as every pod does.
func connect(ctx context.Context, address string, creds credentials.TransportCredentials, node string) (*proxy, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		discovery.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName)
	if err != nil {
		return nil, fmt.Errorf("open a stream to %s: %w", address, err)
	}
	return &proxy{
		node: node, stream: stream, clusters: map[string]bool{}, listeners: map[string]bool{}, routes: map[string]bool{}, answered: map[string]bool{},
	}, nil
}

// run follows the stream until it ends.
func (p *proxy) run() error {
	if err := p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs["Cluster"]}); err != nil {
		return err
	}
	for {
		f := &frame{}
		if err := p.stream.RecvMsg(f); err != nil {
			return fmt.Errorf("stream of %s: %w", p.node, err)
		}
		if err := p.take(f); err != nil {
			return err
		}
		p.received.messages.Add(1)
		p.received.bytes.Add(int64(f.size))
		p.received.last.Store(time.Now().UnixNano())
	}
}

func (p *proxy) send(r *discovery.DeltaDiscoveryRequest) error {
	r.Node = &corev3.Node{Id: p.node}
	return p.stream.SendMsg(r)
}

// take acknowledges a response and asks for what its resources refer to.
func (p *proxy) take(f *frame) error {
	if err := p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: f.url, ResponseNonce: f.nonce}); err != nil {
		return err
	}
	first := !p.answered[f.typ]
	p.answered[f.typ] = true
	err := error(nil)
	switch f.typ {
	case "Cluster":
		outbound := slices.DeleteFunc(f.names, func(name string) bool { return !strings.HasPrefix(name, "outbound|") })
		err = p.follow("ClusterLoadAssignment", p.clusters, outbound, f.removed)
		if first && err == nil {
			err = p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs["Listener"]})
		}
	case "Listener":
		err = p.follow("RouteConfiguration", p.routes, routesOf(f.bodies), nil)
	}
	if p.ready.Load() == 0 && p.complete() {
		p.ready.Store(time.Now().UnixNano())
	}
	return err
}

// follow subscribes to names that are new and gives up those that are gone.
func (p *proxy) follow(typ string, known map[string]bool, names, removed []string) error {
	r := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[typ]}
	for _, name := range names {
		if !known[name] {
			known[name] = true
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, name)
		}
	}
	for _, name := range removed {
		if known[name] {
			delete(known, name)
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, name)
		}
	}
	if len(r.GetResourceNamesSubscribe())+len(r.GetResourceNamesUnsubscribe()) == 0 {
		return nil
	}
	return p.send(r)
}

// complete tells whether the proxy could start serving.
func (p *proxy) complete() bool {
	return p.answered["Cluster"] && p.answered["Listener"] &&
		(len(p.clusters) == 0 || p.answered["ClusterLoadAssignment"]) && (len(p.routes) == 0 || p.answered["RouteConfiguration"])
}

// routesOf lists the route configurations that listeners refer to. Most listeners are TCP and not decoded.
func routesOf(bodies [][]byte) []string {
	var names []string
	for _, body := range bodies {
		if !bytes.Contains(body, []byte("HttpConnectionManager")) {
			continue
		}
		_ = eachField(body, func(number protowire.Number, value []byte) { // of google.protobuf.Any
			l := &listenerv3.Listener{}
			if number == 2 && proto.Unmarshal(value, l) == nil {
				names = append(names, routesOfListener(l)...)
			}
		})
	}
	return names
}

func routesOfListener(l *listenerv3.Listener) []string {
	var names []string
	for _, chain := range append(l.GetFilterChains(), l.GetDefaultFilterChain()) {
		for _, filter := range chain.GetFilters() {
			m := &hcmv3.HttpConnectionManager{}
			if filter.GetTypedConfig().MessageIs(m) && filter.GetTypedConfig().UnmarshalTo(m) == nil && m.GetRds() != nil {
				names = append(names, m.GetRds().GetRouteConfigName())
			}
		}
	}
	return names
}
