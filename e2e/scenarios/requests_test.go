package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// ingress returns the forwarded address of one of the ingress gateway's ports.
func ingress(ctx context.Context, port string) (string, error) {
	return mesh.URL(ctx, "istio-system/istio-ingressgateway/"+port)
}

// throughIngress sends a request to port 80 of the ingress gateway.
func throughIngress(ctx context.Context, host, path string, header map[string]string) (lab.Reply, error) {
	url, err := ingress(ctx, "http")
	if err != nil {
		return lab.Reply{}, err
	}
	return lab.Get(ctx, lab.Request{URL: url + path, Host: host, Header: header})
}

// eventually waits until a request is answered with status.
func eventually(t *testing.T, what string, status int, request func(context.Context) (lab.Reply, error)) lab.Reply {
	t.Helper()
	var reply lab.Reply
	must(t, lab.Until(within(t, 2*time.Minute), what, func(ctx context.Context) (err error) {
		reply, err = request(ctx)
		if err == nil && reply.Status != status {
			err = fmt.Errorf("status %d, not %d: %.200s", reply.Status, status, reply.Body)
		}
		return err
	}))
	return reply
}

// curl runs curl in the sleep pod of a namespace and returns what it prints.
func curl(ctx context.Context, namespace string, args ...string) (string, error) {
	return mesh.Exec(ctx, namespace, "app=sleep", "sleep", append([]string{"curl", "-s", "-m", "10"}, args...)...)
}

// statuses sends count requests from the sleep pod of a namespace and returns how often each status came back; 0 stands for
// no answer.
func statuses(ctx context.Context, namespace string, count int, args ...string) (map[int]int, error) {
	text, err := curl(ctx, namespace, append([]string{"-o", "/dev/null", "-w", "%{http_code}", "-n", strconv.Itoa(count)}, args...)...)
	seen := map[int]int{}
	for _, field := range strings.Fields(text) {
		code, convErr := strconv.Atoi(field)
		if convErr != nil {
			return seen, fmt.Errorf("parse status %q: %w", field, convErr)
		}
		seen[code]++
	}
	if len(seen) > 0 {
		err = nil // curl fails when a request fails; the counts hold that already
	}
	return seen, err
}

// eventuallyStatus waits until one request from the sleep pod of a namespace is answered with status; 0 stands for no answer.
func eventuallyStatus(t *testing.T, what string, status int, namespace string, args ...string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), what, func(ctx context.Context) error {
		seen, err := statuses(ctx, namespace, 1, args...)
		if err == nil && seen[status] != 1 {
			err = fmt.Errorf("got %v, not %d", seen, status)
		}
		return err
	}))
}

// eventuallyLogs waits until a container's log holds a text.
func eventuallyLogs(t *testing.T, namespace, selector, container, text string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), container+" logs "+text, func(ctx context.Context) error {
		log, err := mesh.Logs(ctx, namespace, selector, container, 0)
		if err == nil && !strings.Contains(log, text) {
			err = fmt.Errorf("not in the log of %s %s: %s", namespace, selector, text)
		}
		return err
	}))
}

// site is a Bookinfo that the ingress gateway serves; an empty host stands for every host.
type site struct{ namespace, host string }

// page opens a path of the site.
func (s site) page(ctx context.Context, path string, header map[string]string) (lab.Reply, error) {
	return throughIngress(ctx, s.host, path, header)
}

func opensPage(ctx context.Context, s site) error {
	return lab.Until(ctx, "the product page of "+s.namespace+" opens", func(ctx context.Context) error {
		reply, err := s.page(ctx, "/productpage", nil)
		if err == nil && reply.Status != 200 {
			err = fmt.Errorf("status %d: %.200s", reply.Status, reply.Body)
		}
		return err
	})
}

// reviews opens the product page count times and counts the versions of reviews.
func (s site) reviews(ctx context.Context, count int, header map[string]string) (map[string]int, error) {
	url, err := ingress(ctx, "http")
	seen := map[string]int{}
	for range count {
		if err != nil {
			return seen, err
		}
		var reply lab.Reply
		reply, err = lab.Get(ctx, lab.Request{URL: url + "/productpage", Host: s.host, Header: header})
		if err == nil && reply.Status != 200 {
			err = fmt.Errorf("status %d", reply.Status)
		}
		if err == nil {
			seen[lab.ReviewsVersion(reply.Body)]++
		}
	}
	return seen, err
}

// showsOnly waits until twelve pages in a row show one version of reviews.
func (s site) showsOnly(t *testing.T, version string, header map[string]string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), "all pages show "+version, func(ctx context.Context) error {
		seen, err := s.reviews(ctx, 12, header)
		if err == nil && seen[version] != 12 {
			err = fmt.Errorf("saw %v", seen)
		}
		return err
	}))
}

// shows waits until the product page has all parts.
func (s site) shows(t *testing.T, header map[string]string, parts ...string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), fmt.Sprintf("the page for %v has %q", header, parts), func(ctx context.Context) error {
		reply, err := s.page(ctx, "/productpage", header)
		for _, part := range parts {
			if err == nil && !strings.Contains(reply.Body, part) {
				err = fmt.Errorf("status %d, without %q: %.4000s", reply.Status, part, reply.Body)
			}
		}
		return err
	}))
}
