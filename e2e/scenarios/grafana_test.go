package scenarios

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/dashboards"
)

// grafanaClient calls Grafana's API; without a user it has no credentials.
type grafanaClient struct {
	http           *http.Client
	user, password string
}

func (g grafanaClient) get(ctx context.Context, path string) (lab.Reply, error) {
	request := lab.Request{URL: "http://grafana" + path, Client: g.http}
	if g.user != "" {
		request.Header = map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(g.user+":"+g.password))}
	}
	return lab.Get(ctx, request)
}

// decode reads an answer that has to be a success.
func (g grafanaClient) decode(ctx context.Context, path string, into any) error {
	reply, err := g.get(ctx, path)
	if err != nil {
		return err
	}
	if reply.Status != 200 {
		return fmt.Errorf("GET %s: status %d: %.300s", path, reply.Status, reply.Body)
	}
	if err := json.Unmarshal([]byte(reply.Body), into); err != nil {
		return fmt.Errorf("GET %s: decode answer: %w", path, err)
	}
	return nil
}

// grafanaOf returns a client with the credentials of a Secret.
func grafanaOf(t *testing.T, secret string) grafanaClient {
	t.Helper()
	credentials, err := mesh.Client.CoreV1().Secrets("istio-system").Get(within(t, 30*time.Second), secret, metav1.GetOptions{})
	must(t, err)
	client := mesh.ThroughPod("istio-system", "app=grafana", 3000)
	t.Cleanup(client.CloseIdleConnections)
	return grafanaClient{client, string(credentials.Data["username"]), string(credentials.Data["password"])}
}

// eventuallyGrafana waits for the status of a page.
func eventuallyGrafana(t *testing.T, what string, g grafanaClient, path string, want int) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), what, func(ctx context.Context) error {
		reply, err := g.get(ctx, path)
		if err == nil && reply.Status != want {
			err = fmt.Errorf("GET %s: status %d: %.200s", path, reply.Status, reply.Body)
		}
		return err
	}))
}

// TestGrafana opens every dashboard of the article: each query of each panel has data of Bookinfo through Grafana's data source, and
// nobody gets in without the password.
func TestGrafana(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t)
	grafana := grafanaOf(t, "grafana")
	eventuallyGrafana(t, "Grafana answers its administrator", grafana, "/api/org", 200)
	eventuallyGrafana(t, "Grafana refuses a client without credentials", grafanaClient{http: grafana.http}, "/api/search", 401)
	eventuallyGrafana(t, "Grafana refuses a wrong password", grafanaClient{grafana.http, grafana.user, "admin"}, "/api/search", 401)

	var found []struct{ UID, Title, FolderTitle string }
	must(t, lab.Until(within(t, time.Minute), "the dashboards are provisioned", func(ctx context.Context) error {
		if err := grafana.decode(ctx, "/api/search?type=dash-db", &found); err != nil {
			return err
		}
		if len(found) != len(dashboards.All()) {
			return fmt.Errorf("there are %d of %d", len(found), len(dashboards.All()))
		}
		return nil
	}))
	for _, d := range dashboards.All() {
		if i := slices.IndexFunc(found, func(f struct{ UID, Title, FolderTitle string }) bool { return f.UID == d.UID }); i < 0 || found[i].Title != d.Title || found[i].FolderTitle != "Istio" {
			t.Errorf("dashboard %s is not in folder Istio: %v", d.Title, found)
		}
	}
	panelsHaveData(t, grafana)
}

// panelQuery is a query of a panel as Grafana serves it.
type panelQuery struct{ dashboard, panel, expr, empty string }

// panelsHaveData opens pages of Bookinfo until every query has an answer with a number, except those that may have none.
func panelsHaveData(t *testing.T, grafana grafanaClient) {
	t.Helper()
	var source struct{ ID int }
	must(t, grafana.decode(within(t, 30*time.Second), "/api/datasources/name/Prometheus", &source))
	open := panelQueries(t, grafana)
	all, allowed := len(open), 0
	for _, q := range open {
		if q.empty != "" {
			allowed++
		}
	}
	proxy := fmt.Sprintf("/api/datasources/proxy/%d/api/v1/query?query=", source.ID)
	must(t, lab.Until(within(t, 5*time.Minute), "every panel has data", func(ctx context.Context) error {
		if err := opensPage(ctx, site{namespace: bookinfo}); err != nil {
			return err
		}
		var empty []panelQuery
		required := 0
		for _, q := range open {
			hasData, err := answers(ctx, grafana, proxy+url.QueryEscape(q.expr))
			if err != nil {
				t.Fatalf("%s, %s: %v", q.dashboard, q.panel, err)
			}
			if hasData {
				continue
			}
			empty = append(empty, q)
			if q.empty == "" {
				required++
			}
		}
		open = empty
		if required > 0 {
			i := slices.IndexFunc(open, func(q panelQuery) bool { return q.empty == "" })
			return fmt.Errorf("%d of %d queries have no data, such as %s, %s: %s", required, all, open[i].dashboard, open[i].panel, open[i].expr)
		}
		return nil
	}))
	t.Logf("%d queries, %d of which may be empty; without data now:", all, allowed)
	for _, q := range open {
		t.Logf("  %s, %s: %s", q.dashboard, q.panel, q.empty)
	}
}

// panelQueries reads the dashboards from Grafana, and why a panel may be empty from their source.
func panelQueries(t *testing.T, grafana grafanaClient) []panelQuery {
	t.Helper()
	values := strings.NewReplacer("$__rate_interval", "1m", "$service", "productpage.bookinfo.svc.cluster.local", "$workload", "productpage-v1", "$namespace", bookinfo)
	var out []panelQuery
	for _, d := range dashboards.All() {
		var served struct {
			Dashboard struct {
				Panels []struct {
					Title   string
					Targets []struct{ Expr string }
				}
			}
		}
		must(t, grafana.decode(within(t, 30*time.Second), "/api/dashboards/uid/"+d.UID, &served))
		before := len(out)
		for _, p := range served.Dashboard.Panels {
			for _, target := range p.Targets {
				out = append(out, panelQuery{d.Title, p.Title, values.Replace(target.Expr), whyEmpty(d, p.Title)})
			}
		}
		if len(out) == before {
			t.Errorf("%s has no query", d.Title)
		}
	}
	return out
}

func whyEmpty(d dashboards.Dashboard, title string) string {
	for _, row := range d.Rows {
		for _, p := range row.Panels {
			if p.Title == title {
				return p.Empty
			}
		}
	}
	return ""
}

// answers reports whether a query has a number for an answer; the quantile of nothing is none.
func answers(ctx context.Context, grafana grafanaClient, path string) (bool, error) {
	var answer struct{ Data struct{ Result []sample } }
	if err := grafana.decode(ctx, path, &answer); err != nil {
		return false, err
	}
	return slices.ContainsFunc(answer.Data.Result, func(s sample) bool {
		number, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64)
		return err == nil && !math.IsNaN(number)
	}), nil
}
