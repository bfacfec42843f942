package desired

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// invalidPlacement checks the parts of a pod's spec that the Installation holds without a schema.
func invalidPlacement(field string, c *v1alpha1.ComponentSpec) []string {
	var problems []string
	var tolerations []corev1.Toleration
	for _, part := range []struct {
		name string
		raw  *v1alpha1.Raw
		into any
	}{
		{"tolerations", c.Tolerations, &tolerations},
		{"affinity", c.Affinity, &corev1.Affinity{}},
		{"topologySpreadConstraints", c.TopologySpreadConstraints, &[]corev1.TopologySpreadConstraint{}},
	} {
		if err := decodeStrictly(part.raw, part.into); err != nil {
			problems = append(problems, fmt.Sprintf("%s.%s: %v; see kubectl explain pod.spec.%s", field, part.name, err, part.name))
		}
	}
	for i, t := range tolerations {
		if problem := invalidToleration(t); problem != "" {
			problems = append(problems, fmt.Sprintf("%s.tolerations[%d].%s", field, i, problem))
		}
	}
	return problems
}

// decodeStrictly reports unknown fields, which the API server drops without an error.
func decodeStrictly(raw *v1alpha1.Raw, into any) error {
	if raw == nil || len(raw.JSON) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw.JSON))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if e := new(json.UnmarshalTypeError); errors.As(err, &e) && e.Field == "" {
		return wrongShape(e)
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// wrongShape says how to write a list that is given as a mapping, and the reverse.
func wrongShape(e *json.UnmarshalTypeError) error {
	if strings.HasPrefix(e.Type.String(), "[]") {
		return fmt.Errorf("is no list; begin each entry with a dash (-)")
	}
	return fmt.Errorf("is no mapping; write its fields without a dash (-)")
}

// invalidToleration follows the API server's validation of pods, whose messages name the field of the Deployment.
func invalidToleration(t corev1.Toleration) string {
	switch {
	case t.Operator != "" && t.Operator != corev1.TolerationOpExists && t.Operator != corev1.TolerationOpEqual:
		return fmt.Sprintf("operator: %q is unknown; write Exists or Equal", t.Operator)
	case t.Effect != "" && t.Effect != corev1.TaintEffectNoSchedule && t.Effect != corev1.TaintEffectPreferNoSchedule && t.Effect != corev1.TaintEffectNoExecute:
		return fmt.Sprintf("effect: %q is unknown; write NoSchedule, PreferNoSchedule or NoExecute", t.Effect)
	case t.Key == "" && t.Operator != corev1.TolerationOpExists:
		return "key: is missing; write the key of the taint, or operator: Exists for every taint"
	case t.Operator == corev1.TolerationOpExists && t.Value != "":
		return fmt.Sprintf("value: %q has no meaning with operator Exists; remove it, or write operator: Equal", t.Value)
	case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
		return "tolerationSeconds: has a meaning with effect NoExecute only; remove it, or write effect: NoExecute"
	}
	return ""
}
