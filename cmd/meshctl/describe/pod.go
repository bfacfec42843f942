package describe

import (
	"cmp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Pod says what applies to a pod; ok is false when the snapshot has none of that name. sync is what pilot says of its proxy.
func Pod(s *mesh.Snapshot, namespace, name, sync string) (text string, ok bool) {
	pod := s.Inputs().Pods.Get(mesh.Name{Namespace: namespace, Name: name}.String())
	proxy, ok := s.Proxy(namespace, name)
	if pod == nil || !ok {
		return "", false
	}
	w := newWriter()
	w.line(0, "Pod %s/%s", namespace, name)
	w.line(1, "ServiceAccount %s", strings.TrimPrefix(proxy.Account, namespace+"/"))
	kind, has := mesh.ProxyIn(pod)
	if !has {
		w.line(1, "no sidecar: no rule applies to what it sends, and mutual TLS protects nothing that it receives")
		return w.String(), true
	}
	w.line(1, "%s%s, %s", map[mesh.ProxyType]string{mesh.Sidecar: "sidecar", mesh.Router: "gateway"}[kind], version(pod), sync)
	view := scope.For(s, *proxy)
	if kind == mesh.Router {
		w.line(0, "Opens")
		w.gatewayPorts(view.Gateway)
	} else {
		w.inbound(view.Inbound)
		w.outbound(s, view.Outbound)
	}
	w.telemetry(kind, view.Telemetry)
	w.problems(s, namespace)
	return w.String(), true
}

func version(pod *corev1.Pod) string {
	if v := pod.Annotations[mesh.SidecarVersion]; v != "" {
		return " of version " + v
	}
	return ""
}

var modes = map[mesh.MTLSMode]string{
	mesh.Strict: "mutual TLS only (STRICT)", mesh.Permissive: "mutual TLS and plain text (PERMISSIVE)", mesh.Disable: "plain text only (DISABLE)",
}

func (w *writer) inbound(in *scope.Inbound) {
	w.line(0, "Receives%s", w.by(in.Policies))
	for _, p := range in.Ports {
		as := ""
		if p.Host != "" {
			as = " as " + p.Host + ":" + strconv.Itoa(int(p.ServicePort))
		}
		w.line(1, "port %d, %s%s: %s", p.Port, p.Protocol, as, modes[p.Mode])
	}
	w.line(1, "other ports: %s", modes[in.DefaultMode])
	for _, p := range in.Problems {
		w.findings[p.Object] = true
	}
}

// outbound lists the services that rules say something of.
func (w *writer) outbound(s *mesh.Snapshot, out *scope.Outbound) {
	w.line(0, "Sends")
	count := 0
	for host, service := range out.Services.All() {
		if service.Routes == nil && service.Rule == nil {
			continue
		}
		count++
		w.line(1, "to %s", host)
		w.service(2, service)
	}
	for f := range out.Foreign.Values() {
		count++
		w.line(1, "to %s", strings.Join(f.Hosts, ", "))
		w.line(2, "routes of %s", w.names([]resource.Object{f.Object}))
		w.virtualService(3, f.VirtualService)
	}
	if count == 0 {
		w.line(1, "no VirtualService and no DestinationRule applies")
	}
	if s.Settings.AllowAnyOutbound {
		w.line(1, "to hosts that the mesh does not know: as they are (ALLOW_ANY)")
	} else {
		w.line(1, "to hosts that the mesh does not know: nothing (REGISTRY_ONLY)")
	}
}

func (w *writer) telemetry(kind mesh.ProxyType, t *mesh.Telemetry) {
	w.line(0, "Telemetry%s", cmp.Or(w.by(t.Objects), ": the mesh's defaults"))
	w.reports("what it sends", t.Client)
	if kind == mesh.Sidecar {
		w.reports("what it receives", t.Server)
	}
}

func (w *writer) reports(of string, r mesh.Reports) {
	logs := "no access log"
	for i, l := range r.AccessLogs {
		text := l.Provider
		if l.Filter != "" {
			text += " where " + l.Filter
		}
		if i == 0 {
			logs = "access log to " + text
		} else {
			logs += " and " + text
		}
	}
	spans := "no spans"
	if r.Tracing != nil {
		spans = "spans"
	}
	w.line(1, "%s: %s, %s", of, logs, spans)
}
