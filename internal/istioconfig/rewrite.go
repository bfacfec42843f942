package istioconfig

import (
	"fmt"
	"slices"
)

// rewriter replaces the spellings of Istio 0.8 to 1.1 by today's, on the raw object: the types of istio.io/api have no
// place for most of them. It leaves alone what has an unexpected shape; the decoder then names it.
type rewriter struct {
	done      []Rewrite
	portNames map[string]string
}

type object = map[string]any

// DefaultRetries is how often a request is retried unless its route sets a number.
const DefaultRetries = 2

func (r *rewriter) note(field, was, now string) {
	r.done = append(r.done, Rewrite{Field: field, Was: was, Now: now})
}

func (r *rewriter) virtualService(spec object) {
	normalizeHosts(spec, "hosts")
	each(spec, "http", "spec", func(route object, path string) {
		r.websocket(route, path)
		r.fault(route, path)
		r.mirrorPercent(route, path)
		defaultAttempts(child(route, "retries"))
		r.headerOperations(route, path, "appendHeaders", "request", "add")
		r.allHeaderOperations(route, path)
		r.destination(child(route, "mirror"), path+".mirror")
		r.destinations(route, path)
	})
	for _, protocol := range []string{"tcp", "tls"} {
		each(spec, protocol, "spec", r.destinations)
	}
}

func (r *rewriter) destinations(route object, path string) {
	each(route, "route", path, func(destination object, path string) {
		r.allHeaderOperations(destination, path)
		r.destination(child(destination, "destination"), path+".destination")
	})
}

func (r *rewriter) destination(destination object, path string) {
	normalizeHost(destination, "host")
	r.portName(destination, path)
}

// websocket drops a switch that is always on now.
func (r *rewriter) websocket(route object, path string) {
	if _, found := route["websocketUpgrade"]; found {
		delete(route, "websocketUpgrade")
		r.note(path+".websocketUpgrade", "websocketUpgrade", "nothing: upgrades to WebSocket are always allowed")
	}
}

// defaultAttempts sets the number of retries of a policy that says only when to retry. In the typed object an absent number
// is 0, which turns retries off, those of the default too.
func defaultAttempts(retries object) {
	if retries["attempts"] == nil && (retries["retryOn"] != nil || retries["perTryTimeout"] != nil) {
		retries["attempts"] = int64(DefaultRetries)
	}
}

func (r *rewriter) fault(route object, path string) {
	fault := child(route, "fault")
	r.percent(child(fault, "delay"), path+".fault.delay", "percent", "percentage")
	r.percent(child(fault, "abort"), path+".fault.abort", "percent", "percentage")
}

func (r *rewriter) mirrorPercent(route object, path string) {
	r.percent(route, path, "mirrorPercent", "mirrorPercentage")
}

// percent turns a whole number into a Percent; the newer field wins when both are there.
func (r *rewriter) percent(parent object, path, was, now string) {
	value, found := parent[was]
	if !found {
		return
	}
	if _, both := parent[now]; !both {
		parent[now] = object{"value": value}
	}
	delete(parent, was)
	r.note(path+"."+was, was, now+".value")
}

func (r *rewriter) allHeaderOperations(parent object, path string) {
	r.headerOperations(parent, path, "appendRequestHeaders", "request", "add")
	r.headerOperations(parent, path, "removeRequestHeaders", "request", "remove")
	r.headerOperations(parent, path, "appendResponseHeaders", "response", "add")
	r.headerOperations(parent, path, "removeResponseHeaders", "response", "remove")
}

// headerOperations moves a field of a route or a destination below headers, unless something is there already: then the
// old one stays and is refused as unknown, which is better than a guess about how to merge them.
func (r *rewriter) headerOperations(parent object, path, was, side, operation string) {
	value, found := parent[was]
	if !found {
		return
	}
	operations := childOrNew(childOrNew(parent, "headers"), side)
	if operations == nil || operations[operation] != nil {
		return
	}
	operations[operation] = value
	delete(parent, was)
	r.note(path+"."+was, was, "headers."+side+"."+operation)
}

// portName keeps the name of a port aside: only who knows the service can turn it into a number.
func (r *rewriter) portName(destination object, path string) {
	port := child(destination, "port")
	name, ok := port["name"].(string)
	if !ok {
		return
	}
	delete(port, "name")
	if r.portNames == nil {
		r.portNames = map[string]string{}
	}
	r.portNames[path+".port"] = name
	r.note(path+".port.name", "port.name", "the number of the service's port "+name)
}

func (r *rewriter) gateway(spec object) {
	each(spec, "servers", "spec", func(server object, _ string) { normalizeHosts(server, "hosts") })
}

func (r *rewriter) serviceEntry(spec object) {
	normalizeHosts(spec, "hosts")
	each(spec, "endpoints", "spec", func(endpoint object, _ string) { normalizeHost(endpoint, "address") })
}

func (r *rewriter) destinationRule(spec object) {
	normalizeHost(spec, "host")
	r.trafficPolicy(child(spec, "trafficPolicy"), "spec.trafficPolicy")
	each(spec, "subsets", "spec", func(subset object, path string) {
		r.trafficPolicy(child(subset, "trafficPolicy"), path+".trafficPolicy")
	})
}

func (r *rewriter) trafficPolicy(policy object, path string) {
	r.outlierDetection(child(policy, "outlierDetection"), path+".outlierDetection")
	each(policy, "portLevelSettings", path, func(port object, path string) {
		r.outlierDetection(child(port, "outlierDetection"), path+".outlierDetection")
	})
}

// outlierDetection lifts the http message of 0.8 and reads consecutiveErrors as 0.8 and 1.0 did: as 5xx responses. The
// current API still has the field and ignores it.
func (r *rewriter) outlierDetection(outlier object, path string) {
	if http := child(outlier, "http"); http != nil {
		for _, name := range []string{"consecutiveErrors", "interval", "baseEjectionTime", "maxEjectionPercent"} {
			moveUp(http, outlier, name)
		}
		if len(http) == 0 {
			delete(outlier, "http")
			r.note(path+".http", "outlierDetection.http", "outlierDetection")
		}
	}
	errors, found := outlier["consecutiveErrors"]
	if !found {
		return
	}
	delete(outlier, "consecutiveErrors")
	if !isZero(errors) && outlier["consecutive5xxErrors"] == nil && outlier["consecutiveGatewayErrors"] == nil {
		outlier["consecutive5xxErrors"] = errors
	}
	r.note(path+".consecutiveErrors", "consecutiveErrors", "consecutive5xxErrors")
}

func moveUp(from, to object, name string) {
	value, found := from[name]
	if !found {
		return
	}
	if _, taken := to[name]; !taken {
		to[name] = value
	}
	delete(from, name)
}

func isZero(v any) bool {
	return slices.Contains([]string{"0", "<nil>"}, fmt.Sprint(v))
}

// child is the object at a key, or nil, which reads like an empty one.
func child(parent object, name string) object {
	m, _ := parent[name].(object)
	return m
}

// childOrNew is child, made if absent; nil if something else is there.
func childOrNew(parent object, name string) object {
	if parent == nil {
		return nil
	}
	if _, found := parent[name]; !found {
		parent[name] = object{}
	}
	return child(parent, name)
}

// each calls visit for every object of a list, with its path.
func each(parent object, name, path string, visit func(object, string)) {
	list, _ := parent[name].([]any)
	for i, e := range list {
		if m, ok := e.(object); ok {
			visit(m, fmt.Sprintf("%s.%s[%d]", path, name, i))
		}
	}
}
