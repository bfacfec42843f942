package istioconfig

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
)

// maxLogFilter is how long the expression of a log filter may be: each proxy evaluates it for each request.
const maxLogFilter = 1024

// logAttributes are what an expression can read, by the message that holds it; see "Attributes" in Envoy's documentation
// (intro/arch_overview/advanced/attributes). A message without a list has keys that the user chooses. Other names would never
// have a value, and the filter would never log anything.
var logAttributes = map[string]string{
	"request":  "path url_path host scheme method headers referer useragent time id protocol duration size total_size query",
	"response": "code code_details flags grpc_status headers trailers size total_size backend_latency",
	"source":   "address port", "destination": "address port",
	"connection": "id mtls requested_server_name tls_version subject_local_certificate subject_peer_certificate dns_san_local_certificate " +
		"dns_san_peer_certificate uri_san_local_certificate uri_san_peer_certificate sha256_peer_certificate_digest " +
		"transport_failure_reason termination_details",
	"upstream": "address port tls_version subject_local_certificate subject_peer_certificate dns_san_local_certificate " +
		"dns_san_peer_certificate uri_san_local_certificate uri_san_peer_certificate sha256_peer_certificate_digest " +
		"transport_failure_reason local_address request_attempt_count cx_pool_ready_duration",
	"xds": "node cluster_name cluster_metadata route_name route_metadata upstream_host_metadata filter_chain_name listener_metadata " +
		"listener_direction virtual_host_name virtual_host_metadata",
	"metadata": "", "filter_state": "", "upstream_filter_state": "",
}

// logFunctions are the functions of CEL's standard library that Envoy has.
var logFunctions = []string{
	operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Equals, operators.NotEquals,
	operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Add, operators.Subtract,
	operators.Multiply, operators.Divide, operators.Modulo, operators.Negate, operators.Index, operators.In,
	"size", "contains", "startsWith", "endsWith", "matches", "duration", "timestamp",
}

var logFilters = sync.OnceValues(func() (*cel.Env, error) {
	standard := &env.LibrarySubset{IncludeMacros: []string{operators.Has}}
	for _, name := range logFunctions {
		standard.IncludeFunctions = append(standard.IncludeFunctions, &env.Function{Name: name})
	}
	options := []cel.EnvOption{cel.StdLib(cel.StdLibSubset(standard)), cel.ParserExpressionSizeLimit(maxLogFilter), cel.CrossTypeNumericComparisons(true)}
	for _, name := range sortedKeys(logAttributes) {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	return cel.NewCustomEnv(options...)
})

// CheckLogFilter tells why no proxy could select log entries with an expression in CEL, or why it would never select one.
func CheckLogFilter(expression string) error {
	checked, err := compileCEL(expression)
	if err != nil {
		return err
	}
	if got := checked.OutputType(); !got.IsExactType(cel.BoolType) && !got.IsExactType(cel.DynType) {
		return fmt.Errorf("is a value of type %s, not a condition", got)
	}
	return celProblems(checked)
}

func compileCEL(expression string) (*cel.Ast, error) {
	filters, err := logFilters()
	if err != nil {
		return nil, fmt.Errorf("cannot be checked: %w", err)
	}
	checked, issues := filters.Compile(expression)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("is no expression in CEL that proxies understand: at character %d: %s", first.Location.Column()+1, first.Message)
	}
	return checked, nil
}

func celProblems(checked *cel.Ast) error {
	var problems []string
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if problem := logFilterProblem(e); problem != "" {
			problems = append(problems, problem)
		}
	}))
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, ", "))
	}
	return nil
}

// logFilterProblem checks one part of an expression.
func logFilterProblem(e ast.Expr) string {
	switch e.Kind() {
	case ast.SelectKind:
		return attributeProblem(e.AsSelect().Operand(), e.AsSelect().FieldName())
	case ast.CallKind:
		call := e.AsCall()
		switch {
		case call.FunctionName() == operators.Index && call.Args()[1].Kind() == ast.LiteralKind:
			return attributeProblem(call.Args()[0], fmt.Sprint(call.Args()[1].AsLiteral().Value()))
		case call.FunctionName() == "matches":
			return patternProblem(call.Args()[len(call.Args())-1])
		}
	}
	return ""
}

func attributeProblem(of ast.Expr, name string) string {
	if of.Kind() != ast.IdentKind {
		return ""
	}
	known := strings.Fields(logAttributes[of.AsIdent()])
	if len(known) == 0 || slices.Contains(known, name) {
		return ""
	}
	return fmt.Sprintf("reads %s.%s, which does not exist; %s has %s", of.AsIdent(), name, of.AsIdent(), strings.Join(known, ", "))
}

// patternProblem checks the pattern of matches. One from a request would be compiled for each request.
func patternProblem(pattern ast.Expr) string {
	if pattern.Kind() != ast.LiteralKind {
		return "has a pattern that is not a literal; write the regular expression itself"
	}
	if err := CheckRegex(fmt.Sprint(pattern.AsLiteral().Value())); err != nil {
		return "has a pattern that " + err.Error()
	}
	return ""
}
