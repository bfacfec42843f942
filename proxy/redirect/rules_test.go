package redirect

import (
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// Each case is a list of what differs from the injector's arguments, one "name value" a line, and the table it makes.
func TestRules(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		config := standard(t)
		for line := range strings.Lines(string(c.Files["config"])) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			set(t, &config, name, value)
		}
		return map[string]string{"want.nft": Rules(config).String()}
	})
}

// standard is what the injector asks for by default.
func standard(t *testing.T) Config {
	c := Config{InboundPort: 15006, OutboundPort: 15001, ProxyUID: 1337, ProxyGID: 1337}
	for name, value := range map[string]string{
		"include-inbound-ports": "*", "exclude-inbound-ports": "15090,15021,15020", "include-outbound-ranges": "*",
	} {
		set(t, &c, name, value)
	}
	return c
}

func set(t *testing.T, c *Config, name, value string) {
	t.Helper()
	ports := map[string]*Ports{
		"include-inbound-ports":  &c.IncludeInbound,
		"exclude-inbound-ports":  &c.ExcludeInbound,
		"include-outbound-ports": &c.IncludeOutboundPorts,
		"exclude-outbound-ports": &c.ExcludeOutboundPorts,
	}
	ranges := map[string]*Ranges{"include-outbound-ranges": &c.IncludeOutbound, "exclude-outbound-ranges": &c.ExcludeOutbound}
	var err error
	switch {
	case ports[name] != nil:
		*ports[name], err = ParsePorts(value)
	case ranges[name] != nil:
		*ranges[name], err = ParseRanges(value)
	default:
		t.Fatalf("unknown setting %q", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		says   string
	}{
		"Standard":  {change: func(*Config) {}},
		"NoPort":    {change: func(c *Config) { c.InboundPort = 0 }, says: "0 is not a port"},
		"SamePort":  {change: func(c *Config) { c.InboundPort = c.OutboundPort }, says: "one each"},
		"RootProxy": {change: func(c *Config) { c.ProxyUID = 0 }, says: "every application that runs as root"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := standard(t)
			tc.change(&c)
			check(t, tc.says, c.Validate())
		})
	}
}
