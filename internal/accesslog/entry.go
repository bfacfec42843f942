// Package accesslog holds what istio-telemetry and meshctl tell each other: an entry of the access log of a proxy, and which entries
// to select. The names are those of the proxies' JSON log (docs/logs.md).
package accesslog

import (
	"strconv"
	"strings"
	"time"
)

// The sides of a connection that log it.
const (
	Source      = "source"      // outgoing traffic of a sidecar, and a gateway
	Destination = "destination" // incoming traffic of a sidecar
)

// Entry is one request or connection as a proxy logged it. Namespace, Workload and Proxy are proven by the proxy's certificate and
// address; the rest is the proxy's word, and the text of its clients. An empty text, and a zero code, is a fact that there is not.
type Entry struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Proxy     string `json:"proxy"`    // address of the pod
	Reporter  string `json:"reporter"` // Source or Destination

	Time                  time.Time `json:"start_time"`
	Code                  int       `json:"response_code"` // HTTP; 0: none, or a TCP connection
	Milliseconds          int64     `json:"duration"`
	BytesReceived         int64     `json:"bytes_received"`
	BytesSent             int64     `json:"bytes_sent"`
	Flags                 string    `json:"response_flags,omitempty"`
	Details               string    `json:"response_code_details,omitempty"`
	Method                string    `json:"method,omitempty"`
	Path                  string    `json:"path,omitempty"` // without its query
	Protocol              string    `json:"protocol,omitempty"`
	Authority             string    `json:"authority,omitempty"`
	UserAgent             string    `json:"user_agent,omitempty"`
	RequestID             string    `json:"request_id,omitempty"`
	ServerName            string    `json:"requested_server_name,omitempty"`
	DownstreamPeer        string    `json:"downstream_peer_uri_san,omitempty"`
	DownstreamLocal       string    `json:"downstream_local_uri_san,omitempty"`
	TLSVersion            string    `json:"downstream_tls_version,omitempty"`
	DownstreamAddress     string    `json:"downstream_remote_address,omitempty"`
	DownstreamDestination string    `json:"downstream_local_address,omitempty"`
	UpstreamHost          string    `json:"upstream_host,omitempty"`
	UpstreamCluster       string    `json:"upstream_cluster,omitempty"`
	RouteName             string    `json:"route_name,omitempty"`
}

// The longest texts of an entry, in bytes; the rest is cut.
const (
	maxText = 256
	maxPath = 1024
)

// FromFields makes an entry of the fields of a proxy's JSON log, where "-" is a fact that there is not. The path loses its query: it
// often holds tokens, and a proxy that a tenant changed may send it. Fields of other names are left out.
func FromFields(fields map[string]string) Entry {
	text := func(name string) string { return cut(fields[name], maxText) }
	number := func(name string) int64 {
		n, err := strconv.ParseInt(fields[name], 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	path, _, _ := strings.Cut(fields["path"], "?")
	e := Entry{
		Reporter: Source, Code: int(min(number("response_code"), 999)), Milliseconds: number("duration"),
		BytesReceived: number("bytes_received"), BytesSent: number("bytes_sent"),
		Flags: text("response_flags"), Details: text("response_code_details"), Method: text("method"), Path: cut(path, maxPath),
		Protocol: text("protocol"), Authority: text("authority"), UserAgent: text("user_agent"), RequestID: text("request_id"),
		ServerName: text("requested_server_name"), DownstreamPeer: text("downstream_peer_uri_san"),
		DownstreamLocal: text("downstream_local_uri_san"), TLSVersion: text("downstream_tls_version"),
		DownstreamAddress: text("downstream_remote_address"), DownstreamDestination: text("downstream_local_address"),
		UpstreamHost: text("upstream_host"), UpstreamCluster: text("upstream_cluster"), RouteName: text("route_name"),
	}
	if fields["reporter"] == Destination {
		e.Reporter = Destination
	}
	return e
}

// cut copies what it cuts, so that the rest can be freed.
func cut(text string, longest int) string {
	if text == "-" {
		return ""
	}
	if len(text) > longest {
		return strings.ToValidUTF8(strings.Clone(text[:longest]), "")
	}
	return text
}

// Size is about how many bytes the entry takes in memory.
func (e *Entry) Size() int {
	const fixed = 512
	return fixed + len(e.Proxy) + len(e.Flags) + len(e.Details) + len(e.Method) + len(e.Path) + len(e.Protocol) + len(e.Authority) +
		len(e.UserAgent) + len(e.RequestID) + len(e.ServerName) + len(e.DownstreamPeer) + len(e.DownstreamLocal) + len(e.TLSVersion) +
		len(e.DownstreamAddress) + len(e.DownstreamDestination) + len(e.UpstreamHost) + len(e.UpstreamCluster) + len(e.RouteName)
}

// Upstream is a destination that a workload has sent traffic to, as its proxies logged it.
type Upstream struct {
	Host     string    `json:"host"`           // of the Service or ServiceEntry; PassthroughCluster or BlackHoleCluster outside of the registry
	Port     int       `json:"port,omitempty"` // of the Service; 0: none
	Requests int64     `json:"requests"`       // and connections
	Errors   int64     `json:"errors"`         // of them with a 5xx code, or that did not reach a server
	LastSeen time.Time `json:"lastSeen"`
}

// Destination returns where an entry of a client went: the host and port of the cluster outbound|PORT|SUBSET|HOST, or the cluster's name.
// It returns false for an entry of a server, and for one of a request that the proxy answered itself.
func (e *Entry) Destination() (host string, port int, ok bool) {
	if e.Reporter != Source || e.UpstreamCluster == "" {
		return "", 0, false
	}
	parts := strings.Split(e.UpstreamCluster, "|")
	if len(parts) != 4 {
		return e.UpstreamCluster, 0, true
	}
	port, err := strconv.Atoi(parts[1])
	return parts[3], port, err == nil && port > 0 && port < 65536 && parts[3] != ""
}

// Failed tells whether the request has a 5xx code or never reached a server.
func (e *Entry) Failed() bool { return e.Code >= 500 || e.UpstreamHost == "" }
