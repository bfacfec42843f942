package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// Role is the kind of proxy.
type Role string

// The two roles, as in node ids.
const (
	Sidecar Role = "sidecar"
	Router  Role = "router" // a gateway
)

// Ports are the ports of the agent and its Envoy. Admin and Drain are on loopback. Inbound is Envoy's listener for captured
// inbound traffic, which pilot configures.
type Ports struct {
	Admin, Drain, Agent, Health, Metrics, Inbound uint32
}

// DefaultPorts are the ports that pods, probes and scrape configurations use.
var DefaultPorts = Ports{
	Admin: names.EnvoyAdminPort, Drain: names.DrainPort, Agent: names.AgentPort, Health: names.HealthPort, Metrics: names.EnvoyMetricsPort,
	Inbound: names.InboundPort,
}

// Default paths and addresses in a pod.
const (
	DefaultDir       = "/etc/istio/proxy"
	DefaultLabels    = "/etc/istio/pod/labels"
	DefaultEnvoyPath = "/usr/local/bin/envoy"
	DefaultPilot     = "istio-pilot.istio-system.svc:15011"
)

// Config is the agent's configuration at start.
type Config struct {
	Role           Role
	PodName        string
	Namespace      string
	ServiceAccount string
	NodeName       string
	IPs            []netip.Addr // the pod's addresses, the primary one first
	Workload       string
	Owner          string
	TrustDomain    string
	Revision       string
	Labels         map[string]string

	CAAddress       string
	PilotAddress    string
	PilotServerName string

	Probes  map[string]Probe // by path of the agent
	Metrics *AppMetrics      // nil: the application has none

	Statistics telemetry.Statistics // of Envoy, beside those that every proxy has

	Concurrency   int // worker threads; 0: one per CPU
	LogLevel      string
	DrainDuration time.Duration // when the pod stops
	ListenerDrain time.Duration // for the connections of a replaced or removed listener
	MemoryLimit   uint64        // of the container in bytes; 0: none

	Dir       string
	EnvoyPath string
	Ports     Ports
}

// Environment reads the configuration from environment variables. Its error names the variable.
func Environment(role Role, getenv func(string) string) (Config, error) {
	e := &environment{getenv: getenv}
	c := Config{
		Role:           role,
		PodName:        e.required("POD_NAME"),
		Namespace:      e.required("POD_NAMESPACE"),
		ServiceAccount: e.required("SERVICE_ACCOUNT"),
		NodeName:       getenv("NODE_NAME"),
		IPs:            e.addresses("INSTANCE_IP", "INSTANCE_IPS"),
		Owner:          getenv("ISTIO_META_OWNER"),
		TrustDomain:    e.optional("TRUST_DOMAIN", "cluster.local"),
		Revision:       e.optional("MESH_REVISION", "default"),
		CAAddress:      e.hostPort("CA_ADDRESS", certclient.DefaultAddress),
		PilotAddress:   e.hostPort("PILOT_ADDRESS", DefaultPilot),
		Probes:         decode[map[string]Probe](e, "ISTIO_KUBE_APP_PROBERS"),
		Metrics:        e.appMetrics("ISTIO_PROMETHEUS_ANNOTATIONS"),
		Statistics:     decode[telemetry.Statistics](e, telemetry.StatisticsVariable),
		Concurrency:    e.number("PROXY_CONCURRENCY", 2, 0, 1024),
		LogLevel:       e.oneOf("PROXY_LOG_LEVEL", "warning", logLevels),
		DrainDuration:  e.duration("TERMINATION_DRAIN_DURATION", 5*time.Second),
		ListenerDrain:  e.duration("DRAIN_DURATION", defaultListenerDrain),
		Dir:            DefaultDir,
		EnvoyPath:      e.optional("ENVOY_PATH", DefaultEnvoyPath),
		Ports:          DefaultPorts,
	}
	c.Workload = e.optional("ISTIO_META_WORKLOAD_NAME", c.PodName)
	c.PilotServerName, _, _ = net.SplitHostPort(c.PilotAddress)
	e.checkProbes(c.Probes)
	if err := c.Statistics.Check(); err != nil {
		e.fail(telemetry.StatisticsVariable, "is wrong: %v", err)
	}
	return c, e.err
}

var logLevels = []string{"trace", "debug", "info", "warning", "warn", "error", "critical", "off"}

// environment stores the first error, so that Environment needs no check after each variable.
type environment struct {
	getenv func(string) string
	err    error
}

func (e *environment) fail(name, format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("read environment: %s %s", name, fmt.Sprintf(format, args...))
	}
}

func (e *environment) required(name string) string {
	value := e.getenv(name)
	if value == "" {
		e.fail(name, "is not set")
	}
	return value
}

func (e *environment) optional(name, fallback string) string {
	if value := e.getenv(name); value != "" {
		return value
	}
	return fallback
}

func (e *environment) hostPort(name, fallback string) string {
	value := e.optional(name, fallback)
	if host, port, err := net.SplitHostPort(value); err != nil || host == "" || port == "" {
		e.fail(name, "is %q, want host:port", value)
	}
	return value
}

func (e *environment) number(name string, fallback, least, most int) int {
	text := e.getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		e.fail(name, "is %q, want a number from %d to %d", text, least, most)
	}
	return n
}

func (e *environment) duration(name string, fallback time.Duration) time.Duration {
	text := e.getenv(name)
	if text == "" {
		return fallback
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		e.fail(name, "is %q, want a duration such as 5s", text)
	}
	return d
}

func (e *environment) oneOf(name, fallback string, choices []string) string {
	value := e.optional(name, fallback)
	if !slices.Contains(choices, value) {
		e.fail(name, "is %q, want one of %s", value, strings.Join(choices, ", "))
	}
	return value
}

// addresses returns the primary address followed by the others of the list.
func (e *environment) addresses(primary, list string) []netip.Addr {
	out := []netip.Addr{e.address(primary, e.required(primary))}
	for text := range strings.SplitSeq(e.getenv(list), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if ip := e.address(list, text); !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out
}

func (e *environment) address(name, text string) netip.Addr {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		e.fail(name, "is %q, want an IP address", text)
	}
	return ip
}

// decode parses a JSON value; an unset variable is the zero value.
func decode[T any](e *environment, name string) T {
	var value T
	if text := e.getenv(name); text != "" {
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			e.fail(name, "is not valid JSON of the expected form: %v", err)
		}
	}
	return value
}

func (e *environment) checkProbes(probes map[string]Probe) {
	for path, probe := range probes {
		if err := probe.validate(path); err != nil {
			e.fail("ISTIO_KUBE_APP_PROBERS", "entry %q: %v", path, err)
		}
	}
}

// appMetrics parses the pod's original prometheus.io annotations; the injector replaced them with the agent's port.
func (e *environment) appMetrics(name string) *AppMetrics {
	annotations := decode[struct{ Scrape, Port, Path string }](e, name)
	if annotations.Scrape != "true" {
		return nil
	}
	m := AppMetrics{Port: 80, Path: "/metrics"}
	if annotations.Port != "" {
		port, err := strconv.ParseUint(annotations.Port, 10, 16)
		if err != nil || port == 0 {
			e.fail(name, "has port %q, want a port number", annotations.Port)
		}
		m.Port = uint32(port)
	}
	if annotations.Path != "" {
		m.Path = "/" + strings.TrimPrefix(annotations.Path, "/")
	}
	return &m
}
