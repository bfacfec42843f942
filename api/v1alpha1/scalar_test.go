package v1alpha1

import (
	"encoding/json"
	"testing"
)

func TestScalarKeepsWhatWasWritten(t *testing.T) {
	for in, want := range map[string]Scalar{
		`"1.9.0"`: {Text: "1.9.0"}, `1.9`: {Text: "1.9", Unquoted: true}, `2`: {Text: "2", Unquoted: true},
		`true`: {Text: "true", Unquoted: true}, `null`: {}, `{"a":1}`: {}, `["1"]`: {}, `""`: {},
	} {
		var got Scalar
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s decodes as %+v (%v), want %+v", in, got, err, want)
		}
	}
}

// FuzzScalar holds that decoding never fails, and that what was read is written back.
func FuzzScalar(f *testing.F) {
	for _, seed := range []string{`"1.9"`, `1.9`, `1e3`, `null`, `[]`, `{}`, `"\u0000"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		var first, second Scalar
		if err := json.Unmarshal([]byte(text), &first); err != nil {
			t.Fatalf("decode %s: %v", text, err)
		}
		out, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("encode %+v: %v", first, err)
		}
		if err := json.Unmarshal(out, &second); err != nil || second != first {
			t.Errorf("%s became %s: %+v and %+v (%v)", text, out, first, second, err)
		}
	})
}
