package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

const valid = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1"}}`

func handler(review Reviewer) *Handler {
	return NewHandler(review, slog.New(slog.DiscardHandler))
}

func allow(context.Context, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return Allow()
}

func TestInvalidRequestsGet4xx(t *testing.T) {
	cases := map[string]struct {
		reason, method, contentType, body string
		want                              int
	}{
		"Valid":        {"The question that is asked.", "POST", "application/json", valid, 200},
		"Charset":      {"A parameter of the media type changes nothing.", "POST", "application/json; charset=utf-8", valid, 200},
		"Get":          {"Browsers.", "GET", "", "", 405},
		"ContentType":  {"Forms.", "POST", "text/plain", valid, 415},
		"Empty":        {"Nothing.", "POST", "application/json", "", 400},
		"NotJSON":      {"Noise.", "POST", "application/json", "{", 400},
		"OtherVersion": {"v1beta1 is gone since Kubernetes 1.22.", "POST", "application/json", strings.Replace(valid, "/v1", "/v1beta1", 1), 400},
		"NoRequest":    {"An answer is not a question.", "POST", "application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		"NoUID":        {"The real istioctl kube-inject sends none.", "POST", "application/json", strings.Replace(valid, `"uid":"1"`, `"name":"a"`, 1), 200},
		"Deep":         {"A million brackets would exhaust a recursive decoder's stack.", "POST", "application/json", strings.Repeat("[", 1_000_000), 400},
		"Large":        {"More than an object can have.", "POST", "application/json", strings.Repeat(" ", MaxBody+1), 413},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.contentType)
			w := httptest.NewRecorder()
			handler(allow).ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("%s\nstatus %d %s, want %d", tc.reason, w.Code, w.Body, tc.want)
			}
		})
	}
}

func TestEncodedAndEndlessBodiesAreRefused(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(valid))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	handler(allow).ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("encoded: status %d", w.Code)
	}
	r = httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(valid)))
	r.Header.Set("Content-Type", "application/json")
	w = httptest.NewRecorder()
	handler(allow).ServeHTTP(w, r)
	if w.Code != http.StatusLengthRequired {
		t.Errorf("without length: status %d", w.Code)
	}
}

func TestPanicRefusesOneObject(t *testing.T) {
	calls := 0
	h := handler(func(context.Context, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if calls++; calls == 1 {
			panic("panic")
		}
		return Allow()
	})
	if got := ask(t, h, valid); got.Allowed {
		t.Error("the object that panicked was allowed")
	}
	if got := ask(t, h, valid); !got.Allowed {
		t.Error("the next object was not allowed")
	}
}

func ask(t *testing.T, h http.Handler, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if review.Response.UID != "1" {
		t.Errorf("answer to %q", review.Response.UID)
	}
	return review.Response
}

func TestWarningsFitTheAPI(t *testing.T) {
	got := Warnings([]string{strings.Repeat("é", 300)})
	if len(got[0]) > 256 || !strings.HasSuffix(got[0], "é...") {
		t.Errorf("%d bytes, ends in %q", len(got[0]), got[0][len(got[0])-8:])
	}
	if n := len(Warnings(make([]string, 10))); n != 10 {
		t.Errorf("%d of 10 short warnings", n)
	}
	if n := len(Warnings(strings.Fields(strings.Repeat(strings.Repeat("a", 256)+" ", 20)))); n != 16 {
		t.Errorf("%d long warnings, want 16", n)
	}
}

// FuzzReview: whatever arrives is answered by a review that echoes the UID of the request, or by a 4xx.
func FuzzReview(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"\u0000","object":{"a":[]}}}`))
	f.Add([]byte(`[[[[`))
	h := handler(allow)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 400 && w.Code < 500 {
			return
		}
		var in, out admissionv1.AdmissionReview
		if err := json.Unmarshal(body, &in); err != nil || in.Request == nil {
			t.Fatalf("status %d for %q", w.Code, body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Response == nil || out.Response.UID != in.Request.UID {
			t.Errorf("%q answered by %s", body, w.Body)
		}
	})
}
