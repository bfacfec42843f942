package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Probe is a probe of the pod that the injector redirected to the agent: under strict mutual TLS the kubelet, which has no
// certificate, cannot reach the application. The fields and their JSON form are those of a Kubernetes Probe; the types are
// ours because k8s.io/api would double the agent's memory.
type Probe struct {
	HTTPGet        *HTTPGet   `json:"httpGet,omitempty"`
	TCPSocket      *TCPSocket `json:"tcpSocket,omitempty"`
	GRPC           *GRPC      `json:"grpc,omitempty"`
	TimeoutSeconds int32      `json:"timeoutSeconds,omitempty"`
}

// HTTPGet is a Kubernetes HTTPGetAction.
type HTTPGet struct {
	Path        string       `json:"path,omitempty"`
	Port        Port         `json:"port"`
	Host        string       `json:"host,omitempty"` // empty: the pod's address
	Scheme      string       `json:"scheme,omitempty"`
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is one header of an HTTPGet.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPSocket is a Kubernetes TCPSocketAction.
type TCPSocket struct {
	Port Port   `json:"port"`
	Host string `json:"host,omitempty"` // empty: the pod's address
}

// GRPC is a Kubernetes GRPCAction.
type GRPC struct {
	Port    Port    `json:"port"`
	Service *string `json:"service,omitempty"`
}

// Port is a port number. In JSON it is a number or a string with a number; the injector resolves names of ports.
type Port int

// UnmarshalJSON reads a value that is not a number as 0, which validate reports.
func (p *Port) UnmarshalJSON(text []byte) error {
	n, _ := strconv.Atoi(strings.Trim(string(text), `"`))
	*p = Port(n)
	return nil
}

var (
	probePath = regexp.MustCompile(`^/app-health/[a-z0-9]([a-z0-9-]*[a-z0-9])?/(livez|readyz|startupz)$`)
	// hookPath ends with a secret, because everybody may call the agent's port and a hook changes something.
	hookPath = regexp.MustCompile(`^(/app-lifecycle/[a-z0-9](?:[a-z0-9-]*[a-z0-9])?/(?:poststart|prestop))/[A-Z2-7]{26}$`)
)

// validate reports what is invalid in a probe.
func (p Probe) validate(path string) error {
	if !probePath.MatchString(path) && !hookPath.MatchString(path) {
		return errors.New("path is neither /app-health/<container>/{livez,readyz,startupz} nor /app-lifecycle/<container>/{poststart,prestop}/<secret>")
	}
	if hookPath.MatchString(path) && p.HTTPGet == nil {
		return errors.New("a hook needs httpGet")
	}
	kinds := 0
	for _, set := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("needs exactly one of httpGet, tcpSocket, grpc")
	}
	if port := p.port(); port < 1 || port > 65535 {
		return errors.New("port is not a number from 1 to 65535")
	}
	return nil
}

func (p Probe) port() int {
	switch {
	case p.HTTPGet != nil:
		return int(p.HTTPGet.Port)
	case p.TCPSocket != nil:
		return int(p.TCPSocket.Port)
	default:
		return int(p.GRPC.Port)
	}
}

func (p Probe) timeout() time.Duration {
	return time.Duration(max(1, p.TimeoutSeconds)) * time.Second
}

// prober sends the kubelet's probes to the application at the pod's address.
type prober struct {
	pod    netip.Addr
	dialer net.Dialer
}

// The source addresses that proxy/redirect does not capture. Connections of the proxy's user to the pod's address from any
// other source go to Envoy's inbound port, which rejects them: they have no certificate.
var (
	direct4 = netip.MustParseAddr("127.0.0.6")
	direct6 = netip.MustParseAddr("::6")
)

func newProber(pod netip.Addr) *prober {
	source := direct4
	if pod.Is6() {
		source = direct6
	}
	return &prober{pod: pod, dialer: net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}}
}

func (p *prober) address(host string, port int) string {
	if host == "" {
		host = p.pod.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// publicError is an error that untrusted clients may read: it contains nothing of the application's response.
type publicError string

func (f publicError) Error() string { return string(f) }

// reason returns why a probe or a scrape fails, for untrusted clients. The error itself may contain addresses or parts of the
// application's response.
func reason(err error) string {
	var public publicError
	var network net.Error
	state, answered := status.FromError(err)
	switch {
	case errors.As(err, &public):
		return string(public)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &network) && network.Timeout():
		return "no answer in time" // also when the kubelet closed the connection first: its timeout is the same
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case answered:
		return "grpc status " + state.Code().String()
	default:
		return "no valid answer"
	}
}

// run returns nil when the probe succeeds. kubelet is the request that the kubelet sent.
func (p *prober) run(kubelet *http.Request, probe Probe) error {
	ctx, cancel := context.WithTimeout(kubelet.Context(), probe.timeout())
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return p.httpGet(ctx, probe, kubelet.UserAgent())
	case probe.TCPSocket != nil:
		return p.tcpSocket(ctx, p.address(probe.TCPSocket.Host, probe.port()))
	default:
		return p.grpc(ctx, probe)
	}
}

func (p *prober) tcpSocket(ctx context.Context, address string) error {
	conn, err := p.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (p *prober) httpGet(ctx context.Context, probe Probe, userAgent string) error {
	request, err := p.httpRequest(ctx, probe, userAgent)
	if err != nil {
		return err
	}
	// Like the kubelet: one connection for each probe, and the application's certificate is not verified.
	transport := &http.Transport{
		DialContext:       p.dialer.DialContext,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as the kubelet does
	}
	client := http.Client{Transport: transport, CheckRedirect: sameHostRedirects}
	response, err := client.Do(request)
	if failure := new(url.Error); errors.As(err, &failure) {
		return failure.Err // without the URL, which may come from the application or contain a token
	} else if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 10<<10))
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return publicError(fmt.Sprintf("status %d", response.StatusCode))
	}
	return nil
}

func (p *prober) httpRequest(ctx context.Context, probe Probe, userAgent string) (*http.Request, error) {
	get := probe.HTTPGet
	scheme := "http"
	if get.Scheme == "HTTPS" {
		scheme = "https"
	}
	address := scheme + "://" + p.address(get.Host, probe.port()) + "/" + strings.TrimPrefix(get.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", "*/*")
	for _, h := range get.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
			continue
		}
		request.Header.Add(h.Name, h.Value)
	}
	return request, nil
}

// sameHostRedirects follows redirects to the same host. A redirect to another host is a successful response.
func sameHostRedirects(request *http.Request, via []*http.Request) error {
	if request.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

func (p *prober) grpc(ctx context.Context, probe Probe) error {
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return p.dialer.DialContext(ctx, "tcp", address)
	}
	conn, err := grpc.NewClient("passthrough:///"+p.address("", probe.port()),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
	if err != nil {
		return err
	}
	defer conn.Close()
	request := &grpc_health_v1.HealthCheckRequest{}
	if probe.GRPC.Service != nil {
		request.Service = *probe.GRPC.Service
	}
	response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, request)
	if err != nil {
		return err
	}
	if response.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return publicError(fmt.Sprintf("grpc health status %s", response.Status))
	}
	return nil
}
