package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// Every proxy of the mesh may connect, and a tenant may change its own. What all of them can make the process hold is bounded by the
// requests that are decoded at a time and by what a stream may send ahead. An Envoy sends 16 KiB a second or less often.
const (
	maxRequest           = 1 << 20
	maxDecoding          = 32
	streamsPerConnection = 4
	streamWindow         = 64 << 10
)

// receiver takes the access logs of proxies.
type receiver struct {
	metrics *metrics
	slots   chan struct{} // requests that are decoded
	take    func(workload, []*accesslog.Entry)
}

func newReceiver(m *metrics, take func(workload, []*accesslog.Entry)) *receiver {
	return &receiver{metrics: m, slots: make(chan struct{}, maxDecoding), take: take}
}

// server is the gRPC server. config has to require and verify certificates of clients.
func (r *receiver) server(config *tls.Config) *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxHeaderListSize(16<<10),
		grpc.MaxConcurrentStreams(streamsPerConnection),
		grpc.InitialWindowSize(streamWindow),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: 10 * time.Second, // proxies spread over replicas again
		}),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.logs.v1.LogsService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return r.export(ctx, decode)
		}}},
	}, r)
	return s
}

// export takes an ExportLogsServiceRequest, which has the encoding of LogsData, and answers with an empty message. A request that
// finds no slot is refused before it is decoded; Envoy drops its entries.
func (r *receiver) export(ctx context.Context, decode func(any) error) (any, error) {
	w, address, err := sender(ctx)
	if err != nil {
		r.metrics.refused.WithLabelValues("identity").Inc()
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.metrics.refused.WithLabelValues("busy").Inc()
		return nil, status.Error(codes.ResourceExhausted, "too many requests at a time")
	}
	request := &logsv1.LogsData{}
	if err := decode(request); err != nil {
		r.metrics.refused.WithLabelValues("invalid").Inc()
		return nil, err
	}
	entries := entriesOf(request, time.Now())
	for _, e := range entries {
		e.Namespace, e.Workload, e.Proxy = w.namespace, w.name, address
	}
	r.metrics.received.Add(float64(len(entries)))
	r.take(w, entries)
	return &logsv1.LogsData{}, nil
}

// unknownWorkload is the name of a workload whose certificate does not say it, such as that of another signer.
const unknownWorkload = "unknown"

// sender returns the workload of the client's certificate, and its address.
func sender(ctx context.Context) (w workload, address string, err error) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return w, "", errors.New("no certificate")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return w, "", errors.New("no certificate")
	}
	certificate := info.State.PeerCertificates[0]
	id, err := spiffe.FromCertificate(certificate)
	if err != nil {
		return w, "", err
	}
	facts, _ := telemetry.FromCertificate(certificate.Subject.String(), id.String())
	w = workload{namespace: id.Namespace, name: facts.Workload}
	if w.name == "" {
		w.name = unknownWorkload
	}
	if address, _, err = net.SplitHostPort(p.Addr.String()); err != nil {
		address = p.Addr.String()
	}
	return w, address, nil
}

// entriesOf returns the entries of a request. The time of an entry is the proxy's; one from the future is of now, so that it leaves
// the memory of upstreams like all others.
func entriesOf(request *logsv1.LogsData, now time.Time) []*accesslog.Entry {
	var entries []*accesslog.Entry
	for _, resource := range request.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				e := accesslog.FromFields(fields(record.GetAttributes()))
				e.Time = time.Unix(0, int64(record.GetTimeUnixNano())).UTC()
				if e.Time.After(now) {
					e.Time = now.UTC()
				}
				entries = append(entries, &e)
			}
		}
	}
	return entries
}

func fields(attributes []*commonv1.KeyValue) map[string]string {
	m := make(map[string]string, len(attributes))
	for _, a := range attributes {
		m[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return m
}
