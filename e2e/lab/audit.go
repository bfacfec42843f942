package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

// AuditEvent is the part of an API server's audit event that tests read.
type AuditEvent struct {
	Stage     string    `json:"stage"`
	Verb      string    `json:"verb"`
	Completed time.Time `json:"stageTimestamp"`
	User      struct {
		Username string              `json:"username"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	Object struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// Resource is the event's resource as RBAC rules name it.
func (e AuditEvent) Resource() string {
	if e.Object.Subresource != "" {
		return e.Object.Resource + "/" + e.Object.Subresource
	}
	return e.Object.Resource
}

// Pod is the pod whose token the request came with; empty when it was another kind of token.
func (e AuditEvent) Pod() string {
	for _, name := range e.User.Extra["authentication.kubernetes.io/pod-name"] {
		return name
	}
	return ""
}

// Write reports whether the event changed something.
func (e AuditEvent) Write() bool {
	switch e.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// Audit calls visit for every completed request in the API server's audit log.
func Audit(path string, visit func(AuditEvent)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e AuditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // the last line may be incomplete
		}
		if e.Stage == "ResponseComplete" || e.Verb == "watch" {
			visit(e)
		}
	}
	return lines.Err()
}

// Permission is one thing that a role allows.
type Permission struct{ Group, Resource, Verb string }

// Permissions lists what rules allow, one by one.
func Permissions(rules []rbacv1.PolicyRule) []Permission {
	var out []Permission
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					out = append(out, Permission{group, resource, verb})
				}
			}
		}
	}
	return out
}
