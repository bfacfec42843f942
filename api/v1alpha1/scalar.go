package v1alpha1

import (
	"encoding/json"
	"strings"
)

// Scalar is text that people write without quotes, such as a version: 1.9 is a number to YAML and would not fit a string.
// Decoding never fails, because one stored object that cannot be decoded deafens every watcher of its kind; what is no
// scalar decodes as empty.
//
// +kubebuilder:object:generate=false
type Scalar struct {
	// Text is the value as JSON spelled it, without quotes.
	Text string
	// Unquoted says that it was written as a number or a boolean, so 1.10 has arrived as 1.1.
	Unquoted bool
}

// String returns the text; a nil Scalar is empty.
func (s *Scalar) String() string {
	if s == nil {
		return ""
	}
	return s.Text
}

// UnmarshalJSON accepts everything.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	*s = Scalar{}
	raw := strings.TrimSpace(string(data))
	switch {
	case raw == "" || raw == "null" || raw[0] == '{' || raw[0] == '[':
	case raw[0] == '"':
		_ = json.Unmarshal(data, &s.Text) // what is no string stays empty
	default:
		*s = Scalar{Text: raw, Unquoted: true}
	}
	return nil
}

// MarshalJSON writes back what was read: a number stays a number.
func (s Scalar) MarshalJSON() ([]byte, error) {
	if s.Unquoted && json.Valid([]byte(s.Text)) {
		return []byte(s.Text), nil
	}
	return json.Marshal(s.Text)
}

// DeepCopy copies the scalar.
func (s *Scalar) DeepCopy() *Scalar {
	if s == nil {
		return nil
	}
	out := *s
	return &out
}

// DeepCopyInto copies the scalar into out.
func (s *Scalar) DeepCopyInto(out *Scalar) { *out = *s }

// Raw is an object of the Kubernetes API that is passed on as written. It is checked when it is applied, by the API server
// that knows its schema; like Scalar, decoding it never fails.
//
// +kubebuilder:object:generate=false
type Raw struct {
	JSON []byte
}

// UnmarshalJSON keeps the bytes.
func (r *Raw) UnmarshalJSON(data []byte) error {
	r.JSON = append([]byte(nil), data...)
	return nil
}

// MarshalJSON returns the bytes.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r.JSON) == 0 {
		return []byte("null"), nil
	}
	return r.JSON, nil
}

// DeepCopyInto copies the bytes into out.
func (r *Raw) DeepCopyInto(out *Raw) { out.JSON = append([]byte(nil), r.JSON...) }

// DeepCopy copies the value.
func (r *Raw) DeepCopy() *Raw {
	if r == nil {
		return nil
	}
	out := &Raw{}
	r.DeepCopyInto(out)
	return out
}
