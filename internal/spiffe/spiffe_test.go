package spiffe

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		in   string
		want ID
		bad  bool
	}{
		"Workload":          {in: "spiffe://cluster.local/ns/default/sa/bookinfo-reviews", want: ID{"cluster.local", "default", "bookinfo-reviews"}},
		"DotsInAccount":     {in: "spiffe://cluster.local/ns/a/sa/b.c", want: ID{"cluster.local", "a", "b.c"}},
		"Empty":             {in: "", bad: true},
		"OtherScheme":       {in: "https://cluster.local/ns/a/sa/b", bad: true},
		"UpperCaseScheme":   {in: "SPIFFE://cluster.local/ns/a/sa/b", bad: true},
		"NoPath":            {in: "spiffe://cluster.local", bad: true},
		"OtherPath":         {in: "spiffe://cluster.local/sa/b/ns/a", bad: true},
		"Longer":            {in: "spiffe://cluster.local/ns/a/sa/b/c", bad: true},
		"TrailingSlash":     {in: "spiffe://cluster.local/ns/a/sa/b/", bad: true},
		"DotSegment":        {in: "spiffe://cluster.local/ns/../sa/b", bad: true},
		"Escape":            {in: "spiffe://cluster.local/ns/a%2fb/sa/b", bad: true},
		"EmptyNamespace":    {in: "spiffe://cluster.local/ns//sa/b", bad: true},
		"NoTrustDomain":     {in: "spiffe:///ns/a/sa/b", bad: true},
		"Port":              {in: "spiffe://cluster.local:80/ns/a/sa/b", bad: true},
		"User":              {in: "spiffe://root@cluster.local/ns/a/sa/b", bad: true},
		"Query":             {in: "spiffe://cluster.local/ns/a/sa/b?x", bad: true},
		"Fragment":          {in: "spiffe://cluster.local/ns/a/sa/b#x", bad: true},
		"UpperTrustDomain":  {in: "spiffe://Cluster.local/ns/a/sa/b", bad: true},
		"NewlineInAccount":  {in: "spiffe://cluster.local/ns/a/sa/b\n", bad: true},
		"SecondIdentity":    {in: "spiffe://cluster.local/ns/a/sa/b,spiffe://cluster.local/ns/a/sa/c", bad: true},
		"NullByteInAccount": {in: "spiffe://cluster.local/ns/a/sa/b\x00", bad: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.in)
			if (err != nil) != c.bad {
				t.Fatalf("Parse(%q): error %v", c.in, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", c.in, diff)
			}
		})
	}
}

func TestNewRefusesNamesThatWouldChangeTheIdentity(t *testing.T) {
	for _, names := range [][3]string{
		{"", "a", "b"},
		{"spiffe://cluster.local", "a", "b"},
		{"cluster.local/ns/x", "a", "b"},
		{"cluster.local", "", "b"},
		{"cluster.local", "a", ""},
		{"cluster.local", "a/sa/admin", "b"},
		{"cluster.local", "..", "b"},
		{"cluster.local", "a", "b c"},
	} {
		if id, err := New(names[0], names[1], names[2]); err == nil {
			t.Errorf("New(%q) = %s, want an error", names, id)
		}
	}
}

func TestFromCertificate(t *testing.T) {
	uris := func(names ...string) (out []*url.URL) {
		for _, name := range names {
			u, err := url.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u)
		}
		return out
	}
	one := "spiffe://cluster.local/ns/a/sa/b"
	cases := map[string]struct {
		in  *x509.Certificate
		bad bool
	}{
		"One":         {in: &x509.Certificate{URIs: uris(one)}},
		"AndDNS":      {in: &x509.Certificate{URIs: uris(one), DNSNames: []string{"istio-pilot.istio-system.svc"}}},
		"None":        {in: &x509.Certificate{}, bad: true},
		"Two":         {in: &x509.Certificate{URIs: uris(one, "spiffe://cluster.local/ns/a/sa/c")}, bad: true},
		"TwiceTheOne": {in: &x509.Certificate{URIs: uris(one, one)}, bad: true},
		"OtherURI":    {in: &x509.Certificate{URIs: uris("https://example.com")}, bad: true},
		"CA":          {in: &x509.Certificate{URIs: uris(one), IsCA: true}, bad: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			id, err := FromCertificate(c.in)
			if (err != nil) != c.bad {
				t.Fatalf("FromCertificate: %v, error %v", id, err)
			}
			if err == nil && id.String() != one {
				t.Errorf("FromCertificate = %s, want %s", id, one)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/default/sa/sleep")
	f.Add("spiffe://a_b/ns/-/sa/_")
	f.Add("spiffe://td/ns/ns/sa/sa")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			return
		}
		if id.String() != s || id.URI().String() != s {
			t.Errorf("Parse(%q) prints %q, URI %q", s, id, id.URI())
		}
		if strings.Count(s, "/") != 6 {
			t.Errorf("Parse(%q) has more parts than an identity", s)
		}
		again, err := New(id.TrustDomain, id.Namespace, id.ServiceAccount)
		if err != nil || again != id {
			t.Errorf("New of the parts of %q = %v, %v", s, again, err)
		}
	})
}
