package istioconfig

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// CELText returns the text that an expression in CEL is, if it is a literal one.
func CELText(expression string) (string, bool) {
	checked, err := compileCEL(expression)
	if err != nil || checked.NativeRep().Expr().Kind() != ast.LiteralKind || !checked.OutputType().IsExactType(cel.StringType) {
		return "", false
	}
	text, ok := checked.NativeRep().Expr().AsLiteral().Value().(string)
	return text, ok
}

// CheckMetricLabel tells why a label could not have the value of an expression. Envoy reads the expression from a format string, in which
// it can hold neither parentheses nor percent signs.
func CheckMetricLabel(expression string) error {
	checked, err := compileCEL(expression)
	if err != nil {
		return err
	}
	if text, ok := CELText(expression); ok {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '%' }) {
			return fmt.Errorf("is an empty text, or has control characters or percent signs")
		}
		return nil
	}
	if strings.ContainsAny(expression, "()%\n") {
		return fmt.Errorf("has parentheses, percent signs or line breaks, which proxies cannot read here")
	}
	var secret string
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if secret == "" {
			secret = readsSecret(e)
		}
	}))
	if secret != "" {
		return fmt.Errorf("reads %s, which may hold a secret", secret)
	}
	return celProblems(checked)
}

// readsSecret names what a part of an expression reads that must not become a label.
func readsSecret(e ast.Expr) string {
	of, field := e, ""
	switch {
	case e.Kind() == ast.SelectKind:
		of, field = e.AsSelect().Operand(), e.AsSelect().FieldName()
	case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
		of, field = e.AsCall().Args()[0], "?"
		if key := e.AsCall().Args()[1]; key.Kind() == ast.LiteralKind {
			field = fmt.Sprint(key.AsLiteral().Value())
		}
	}
	switch {
	case of.Kind() == ast.IdentKind && of.AsIdent() == "request" && slices.Contains([]string{"path", "query", "referer", "?"}, field):
		return "request." + field
	case of.Kind() == ast.SelectKind && of.AsSelect().FieldName() == "headers" && (field == "?" || slices.Contains(secretHeaders, strings.ToLower(field))):
		return "the header " + field
	}
	return ""
}
