package accesslog

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestFromFields(t *testing.T) {
	got := FromFields(map[string]string{
		"reporter": "destination", "response_code": "503", "response_flags": "UH", "duration": "12", "bytes_received": "1", "bytes_sent": "2",
		"method": "GET", "path": "/a?token=SECRET", "protocol": "HTTP/1.1", "authority": "a.test", "upstream_host": "-", "route_name": "-",
		"downstream_peer_uri_san": "spiffe://cluster.local/ns/a/sa/b", "authorization": "SECRET", "namespace": "forged", "workload": "forged",
	})
	want := Entry{
		Reporter: Destination, Code: 503, Flags: "UH", Milliseconds: 12, BytesReceived: 1, BytesSent: 2, Method: "GET", Path: "/a",
		Protocol: "HTTP/1.1", Authority: "a.test", DownstreamPeer: "spiffe://cluster.local/ns/a/sa/b",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFromFieldsOfInvalidValues(t *testing.T) {
	got := FromFields(map[string]string{"reporter": "x", "response_code": "-1", "duration": "x", "bytes_sent": "99999999999999999999", "bytes_received": "-"})
	if want := (Entry{Reporter: Source}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// FuzzFromFields: whatever a proxy sends, an entry is short, valid text and has no query.
func FuzzFromFields(f *testing.F) {
	f.Add("/a?b", strings.Repeat("ä", 300), "200")
	f.Fuzz(func(t *testing.T, path, text, code string) {
		e := FromFields(map[string]string{"path": path, "authority": text, "user_agent": text, "response_code": code})
		if strings.Contains(e.Path, "?") || len(e.Path) > maxPath || len(e.Authority) > maxText || e.Code < 0 || e.Code > 999 {
			t.Errorf("got %+v", e)
		}
		if utf8.ValidString(text) && !utf8.ValidString(e.Authority) {
			t.Errorf("%q is no text any more", e.Authority)
		}
		if e.Size() > 20*maxText+maxPath+512 {
			t.Errorf("the entry takes %d bytes", e.Size())
		}
	})
}

func TestDestination(t *testing.T) {
	for cluster, want := range map[string]struct {
		host string
		port int
		ok   bool
	}{
		"outbound|9080||reviews.a.svc.cluster.local":   {"reviews.a.svc.cluster.local", 9080, true},
		"outbound|9080|v2|reviews.a.svc.cluster.local": {"reviews.a.svc.cluster.local", 9080, true},
		"PassthroughCluster":                           {"PassthroughCluster", 0, true},
		"":                                             {"", 0, false},
		"outbound|x||a":                                {"a", 0, false},
		"outbound|1||":                                 {"", 1, false},
	} {
		e := Entry{Reporter: Source, UpstreamCluster: cluster}
		if host, port, ok := e.Destination(); host != want.host || port != want.port || ok != want.ok {
			t.Errorf("%q: got %s, %d, %t", cluster, host, port, ok)
		}
		e.Reporter = Destination
		if _, _, ok := e.Destination(); ok {
			t.Errorf("%q of a server is a destination", cluster)
		}
	}
}

func TestStatus(t *testing.T) {
	for text, want := range map[string]map[int]bool{
		"":        {0: true, 200: true},
		"5xx":     {500: true, 503: true, 200: false, 0: false, 55: false},
		"404,5xx": {404: true, 599: true, 400: false},
		"0":       {0: true, 200: false},
	} {
		s, err := ParseStatus(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for code, matches := range want {
			if s.Matches(code) != matches {
				t.Errorf("%q matches %d: %t", text, code, !matches)
			}
		}
	}
	for _, text := range []string{"x", "6xx", "5x", "500,", "1000", "-1", "5XX"} {
		if _, err := ParseStatus(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestQueryRoundTrip(t *testing.T) {
	for _, q := range []Query{
		{},
		{Namespace: "a", Workload: "b", Status: "404,5xx", Since: time.Unix(1, 500).UTC(), After: 7, Limit: 3},
	} {
		got, err := ParseQuery(q.Values())
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("got %+v, %v, want %+v", got, err, q)
		}
	}
	for name, text := range map[string]string{"status": "x", "since": "yesterday", "after": "-1", "limit": "10001"} {
		v := Query{}.Values()
		v.Set(name, text)
		if _, err := ParseQuery(v); err == nil || !strings.Contains(err.Error(), "parse "+name) {
			t.Errorf("%s=%s: %v", name, text, err)
		}
	}
}
