package accesslog

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MaxLimit is the longest answer to a query, in entries.
const MaxLimit = 10_000

// Query selects entries. The zero value selects the last MaxLimit of all workloads.
type Query struct {
	Namespace, Workload string    // empty: all
	Status              Status    // empty: all
	Since               time.Time // zero: all
	After               uint64    // the cursor of the answer before; 0: none
	Limit               int       // the newest so many; 0: MaxLimit
}

// Answer is the answer to a query, as JSON.
type Answer struct {
	// Instance changes when istio-telemetry starts anew: cursors of another instance mean nothing.
	Instance string `json:"instance"`
	Cursor   uint64 `json:"cursor"`
	// Lost says that there were entries after the query's cursor that are gone.
	Lost    bool    `json:"lost,omitempty"`
	Entries []Entry `json:"entries"`
}

// Values is the query in a URL; ParseQuery is the inverse.
func (q Query) Values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("namespace", q.Namespace)
	set("workload", q.Workload)
	set("status", string(q.Status))
	if !q.Since.IsZero() {
		set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.After > 0 {
		set("after", strconv.FormatUint(q.After, 10))
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// ParseQuery reads a query from a URL.
func ParseQuery(v url.Values) (q Query, err error) {
	q.Namespace, q.Workload = v.Get("namespace"), v.Get("workload")
	if q.Status, err = ParseStatus(v.Get("status")); err != nil {
		return q, fmt.Errorf("parse status: %w", err)
	}
	if text := v.Get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return q, fmt.Errorf("parse since: %w", err)
		}
	}
	if text := v.Get("after"); text != "" {
		if q.After, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, fmt.Errorf("parse after: %w", err)
		}
	}
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > MaxLimit {
			return q, fmt.Errorf("parse limit: %q is not from 1 to %d", text, MaxLimit)
		}
	}
	return q, nil
}

// Matches tells whether the query selects an entry, apart from After and Limit.
func (q Query) Matches(e *Entry) bool {
	return (q.Namespace == "" || q.Namespace == e.Namespace) && (q.Workload == "" || q.Workload == e.Workload) &&
		q.Status.Matches(e.Code) && !e.Time.Before(q.Since)
}

// Status is a list of HTTP codes and classes of them, separated by commas, such as 404,5xx. TCP connections have the code 0.
type Status string

// ParseStatus checks the text.
func ParseStatus(text string) (Status, error) {
	if text == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(text, ",") {
		class := len(part) == 3 && part[1:] == "xx" && part[0] >= '1' && part[0] <= '5'
		if code, err := strconv.Atoi(part); !class && (err != nil || code < 0 || code > 999) {
			return "", fmt.Errorf("%q is neither a code such as 404 nor a class such as 5xx", part)
		}
	}
	return Status(text), nil
}

// Matches tells whether the list has the code.
func (s Status) Matches(code int) bool {
	if s == "" {
		return true
	}
	text := strconv.Itoa(code)
	for part := range strings.SplitSeq(string(s), ",") {
		if part == text || len(text) == 3 && part == text[:1]+"xx" {
			return true
		}
	}
	return false
}
