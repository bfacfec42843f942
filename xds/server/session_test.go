package server

import (
	"fmt"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestSession replays conversations between a proxy and pilot. The commands:
//
//	push cluster/a=1 -cluster/b      what the proxy should have changes
//	push? cluster/a=1                the same, but what changed is not known
//	request endpoint +a -b kept:c=1  the proxy subscribes, unsubscribes, brings a version along
//	ack cluster 1 +a                 it accepts response 1 (and subscribes)
//	nack cluster 1 message           it refuses response 1
func TestSession(t *testing.T) {
	golden.Transcript(t, "testdata/session/*.txt", func(t *testing.T) func(string) []string {
		c := &conversation{t: t, set: &resource.Set{}, session: NewSession(nil)}
		return c.answer
	})
}

type conversation struct {
	t       *testing.T
	set     *resource.Set
	session *Session
}

var typesByWord = map[string]resource.Type{
	"cluster": resource.Cluster, "endpoint": resource.Endpoint, "listener": resource.Listener,
	"route": resource.Route, "secret": resource.Secret, "other": "type.googleapis.com/other",
}

func wordOf(t resource.Type) string {
	for word, typ := range typesByWord {
		if typ == t {
			return word
		}
	}
	return string(t)
}

func (c *conversation) answer(command string) []string {
	words := strings.Fields(command)
	var out []string
	switch words[0] {
	case "push":
		old := c.push(words[1:])
		c.session.Update(c.set, Compare(old, c.set))
	case "push?":
		c.push(words[1:])
		c.session.Update(c.set, nil)
	case "request", "ack", "nack":
		if r := c.session.Request(c.request(words)); r != nil {
			out = append(out, describeRejection(r))
		}
	default:
		c.t.Fatalf("unknown command %q", command)
	}
	for r := c.session.Next(); r != nil; r = c.session.Next() {
		out = append(out, describe(r))
	}
	return out
}

func (c *conversation) push(words []string) (old *resource.Set) {
	old = c.set
	for _, word := range words {
		path, version, _ := strings.Cut(strings.TrimPrefix(word, "-"), "=")
		kind, name, _ := strings.Cut(path, "/")
		t := typesByWord[kind]
		if strings.HasPrefix(word, "-") {
			c.set = c.set.With(t, c.set.Of(t).Without(name))
			continue
		}
		c.set = c.set.With(t, c.set.Of(t).With(name, &resource.Resource{Type: t, Name: name, Version: version}))
	}
	return old
}

func (c *conversation) request(words []string) *discovery.DeltaDiscoveryRequest {
	r := &discovery.DeltaDiscoveryRequest{TypeUrl: string(typesByWord[words[1]]), InitialResourceVersions: map[string]string{}}
	rest := words[2:]
	if words[0] != "request" {
		r.ResponseNonce, rest = rest[0], rest[1:]
	}
	if words[0] == "nack" {
		r.ErrorDetail = &status.Status{Message: strings.Join(rest, " ")}
		return r
	}
	for _, word := range rest {
		if kept, ok := strings.CutPrefix(word, "kept:"); ok {
			name, version, _ := strings.Cut(kept, "=")
			r.InitialResourceVersions[name] = version
		} else if name, ok := strings.CutPrefix(word, "-"); ok {
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, name)
		} else {
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, strings.TrimPrefix(word, "+"))
		}
	}
	return r
}

func describe(r *discovery.DeltaDiscoveryResponse) string {
	words := []string{r.GetNonce(), wordOf(resource.Type(r.GetTypeUrl()))}
	for _, res := range r.GetResources() {
		words = append(words, "+"+res.GetName()+"="+res.GetVersion())
	}
	for _, name := range r.GetRemovedResources() {
		words = append(words, "-"+name)
	}
	if len(words) == 2 {
		words = append(words, "(nothing)")
	}
	return strings.Join(words, " ")
}

func describeRejection(r *Rejection) string {
	var blamed []string
	for _, b := range r.Blamed {
		blamed = append(blamed, b.Name+"="+b.Version)
	}
	return fmt.Sprintf("rejected: %s %v", wordOf(r.Type), blamed)
}
