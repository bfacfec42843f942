package certfile

import (
	"path"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	for file, refused := range map[string]string{
		"/etc/certs/cert.pem":                "",
		"/etc/istio/user/tls.crt":            "",
		"/etc/istio/proxyv2/tls.crt":         "",
		"/running/tls.crt":                   "",
		"":                                   "not the absolute path",
		"/":                                  "not the absolute path",
		"certs/cert.pem":                     "not the absolute path",
		"/etc/certs/":                        "not the absolute path",
		"/etc/certs/../istio/proxy/x":        "not the absolute path",
		"/etc//certs/x":                      "not the absolute path",
		"/etc/certs/a~b":                     "a character",
		"/etc/certs/a\nb":                    "a character",
		"/" + strings.Repeat("a", 1024):      "1024",
		"/var/run/secrets/tokens/token":      "in /var/run,",
		"/run/secrets/tokens/istio-token":    "in /run,",
		"/etc/istio/proxy":                   "in /etc/istio/proxy,",
		"/etc/istio/proxy/key.pem":           "in /etc/istio/proxy,",
		"/proc/self/root/etc/istio/proxy/ab": "in /proc,",
	} {
		err := CheckPath(file)
		if (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("%q: %v, want %q", file, err, refused)
		}
	}
}

// FuzzNames: what pilot writes the agent reads, and no path that passes the check leads elsewhere when it is cleaned.
func FuzzNames(f *testing.F) {
	f.Add("/etc/certs/cert.pem", "/etc/certs/key.pem")
	f.Add("/a", "/b~c")
	f.Add("system", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		Parse(a) // whatever is asked for
		if CheckPath(a) != nil || CheckPath(b) != nil {
			return
		}
		if path.Clean(a) != a || Within(a, Reserved) != "" {
			t.Errorf("%q passes", a)
		}
		if got, ok := Parse(PairName(a, b)); !ok || got != (Files{Certificate: a, Key: b}) {
			t.Errorf("%q and %q are read as %+v", a, b, got)
		}
		if got, ok := Parse(RootsName(a, b)); !ok || got != (Files{Authorities: a, Revoked: b}) {
			t.Errorf("%q is read as %+v", a, got)
		}
	})
}

func TestParse(t *testing.T) {
	for name, want := range map[string]Files{
		"file-root:system":           {Authorities: SystemPath},
		RootsName("", ""):            {Authorities: SystemPath},
		RootsName("", "/crl"):        {Authorities: SystemPath, Revoked: "/crl"},
		"file-root:/etc/certs/ca":    {Authorities: "/etc/certs/ca"},
		"file-cert:/etc/a~/etc/b":    {Certificate: "/etc/a", Key: "/etc/b"},
		"file-cert:/etc/a~/etc/b~/c": {Certificate: "/etc/a", Key: "/etc/b~/c"},
	} {
		if got, ok := Parse(name); !ok || got != want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "default", "ROOTCA", "file-cert:/etc/a", "kubernetes://a", "/etc/a"} {
		if got, ok := Parse(name); ok {
			t.Errorf("%q is read as %+v", name, got)
		}
	}
}
