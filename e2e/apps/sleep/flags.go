package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// request is a parsed command line of curl.
type request struct {
	url      string
	method   string
	header   http.Header
	body     string
	output   string            // file; "" is standard output
	write    string            // --write-out
	resolve  map[string]string // host:port -> address:port
	timeout  time.Duration
	connect  time.Duration
	count    int
	lines    bool // -n was given: one write-out a line
	silent   bool
	showErr  bool // print errors although silent
	include  bool // headers before the body
	head     bool
	insecure bool
	fail     bool
	follow   bool
}

// flag is one option: set takes its value, or an empty string when it has none.
type flag struct {
	value bool
	set   func(r *request, value string) error
}

func on(field func(*request) *bool) flag {
	return flag{set: func(r *request, _ string) error { *field(r) = true; return nil }}
}

func text(field func(*request) *string) flag {
	return flag{value: true, set: func(r *request, v string) error { *field(r) = v; return nil }}
}

// long are the options by their long names, short those letters that mean the same. -n, a number of requests, is ours.
var long = map[string]flag{
	"silent":          on(func(r *request) *bool { return &r.silent }),
	"show-error":      on(func(r *request) *bool { return &r.showErr }),
	"include":         on(func(r *request) *bool { return &r.include }),
	"head":            on(func(r *request) *bool { return &r.head }),
	"insecure":        on(func(r *request) *bool { return &r.insecure }),
	"fail":            on(func(r *request) *bool { return &r.fail }),
	"location":        on(func(r *request) *bool { return &r.follow }),
	"output":          text(func(r *request) *string { return &r.output }),
	"write-out":       text(func(r *request) *string { return &r.write }),
	"request":         text(func(r *request) *string { return &r.method }),
	"url":             text(func(r *request) *string { return &r.url }),
	"header":          {value: true, set: setHeader},
	"cookie":          {value: true, set: func(r *request, v string) error { r.header.Add("Cookie", v); return nil }},
	"user-agent":      {value: true, set: func(r *request, v string) error { r.header.Set("User-Agent", v); return nil }},
	"data":            {value: true, set: setData},
	"resolve":         {value: true, set: setResolve},
	"max-time":        {value: true, set: func(r *request, v string) (err error) { r.timeout, err = seconds(v); return err }},
	"connect-timeout": {value: true, set: func(r *request, v string) (err error) { r.connect, err = seconds(v); return err }},
	"count":           {value: true, set: setCount},
}

var short = map[byte]string{
	's': "silent", 'S': "show-error", 'i': "include", 'I': "head", 'k': "insecure", 'f': "fail", 'L': "location",
	'o': "output", 'w': "write-out", 'X': "request", 'H': "header", 'b': "cookie", 'A': "user-agent", 'd': "data",
	'm': "max-time", 'n': "count",
}

// parse accepts flags before and after the URL, letters in one word (-sk), and values in the same word (-HHost:x).
func parse(args []string) (*request, error) {
	r := &request{header: http.Header{}, resolve: map[string]string{}, count: 1, timeout: 60 * time.Second, connect: 10 * time.Second}
	for len(args) > 0 {
		var err error
		word := args[0]
		switch args = args[1:]; {
		case strings.HasPrefix(word, "--"):
			args, err = r.parseLong(word[2:], args)
		case strings.HasPrefix(word, "-") && word != "-":
			args, err = r.parseShort(word[1:], args)
		case r.url != "":
			err = fmt.Errorf("a second URL %q: one at a time", word)
		default:
			r.url = word
		}
		if err != nil {
			return nil, err
		}
	}
	return r, r.complete()
}

func (r *request) parseLong(name string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(name, "=")
	f, ok := long[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("no option --%s", name)
	case given && !f.value:
		return nil, fmt.Errorf("option --%s takes no value", name)
	case f.value && !given:
		if len(rest) == 0 {
			return nil, fmt.Errorf("option --%s needs a value", name)
		}
		value, rest = rest[0], rest[1:]
	}
	if err := f.set(r, value); err != nil {
		return nil, fmt.Errorf("option --%s: %w", name, err)
	}
	return rest, nil
}

func (r *request) parseShort(letters string, rest []string) ([]string, error) {
	for i := range len(letters) {
		name, ok := short[letters[i]]
		if !ok {
			return nil, fmt.Errorf("no option -%c", letters[i])
		}
		if !long[name].value {
			if err := long[name].set(r, ""); err != nil {
				return nil, err
			}
			continue
		}
		if value := letters[i+1:]; value != "" {
			rest = append([]string{value}, rest...)
		}
		return r.parseLong(name, rest)
	}
	return rest, nil
}

// complete sets the fields that depend on others.
func (r *request) complete() error {
	if r.url == "" {
		return errors.New("no URL")
	}
	if !strings.Contains(r.url, "://") {
		r.url = "http://" + r.url
	}
	if r.method == "" {
		switch {
		case r.head:
			r.method = http.MethodHead
		case r.body != "":
			r.method = http.MethodPost
		default:
			r.method = http.MethodGet
		}
	}
	return nil
}

func setHeader(r *request, v string) error {
	name, value, ok := strings.Cut(v, ":")
	if !ok || strings.TrimSpace(name) == "" {
		return fmt.Errorf("%q is not a header: use Name: value", v)
	}
	r.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	return nil
}

func setData(r *request, v string) error {
	if r.body != "" {
		r.body += "&"
	}
	r.body += v
	return nil
}

// setResolve parses HOST:PORT:ADDRESS; an IPv6 address may be in brackets.
func setResolve(r *request, v string) error {
	parts := strings.SplitN(v, ":", 3)
	if len(parts) != 3 {
		return fmt.Errorf("%q: use HOST:PORT:ADDRESS", v)
	}
	address := strings.Trim(parts[2], "[]")
	if net.ParseIP(address) == nil {
		return fmt.Errorf("%q: %q is not an address", v, address)
	}
	r.resolve[net.JoinHostPort(parts[0], parts[1])] = net.JoinHostPort(address, parts[1])
	return nil
}

func seconds(v string) (time.Duration, error) {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n > 0) || n > 3600 {
		return 0, fmt.Errorf("%q is not a number of seconds", v)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// maxCount bounds what one call may send.
const maxCount = 100_000

func setCount(r *request, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxCount {
		return fmt.Errorf("%q is not a number of requests from 1 to %d", v, maxCount)
	}
	r.count, r.lines = n, true
	return nil
}
