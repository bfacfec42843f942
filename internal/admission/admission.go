// Package admission is what the product's webhooks share: reading an AdmissionReview within limits, answering it, and
// serving over TLS with a certificate of the mesh.
//
// Clients are not authenticated: the API server presents no client certificate to webhooks unless its own start-up
// configuration says so. Every client that reaches the port may send a review. So a response depends on the request and on
// public configuration only, contains no secret, changes nothing, and costs little: bodies, nesting, time and the number of
// concurrent requests are bounded before anything is decoded.
package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// MaxBody is the largest AdmissionReview; the API server's own limit for an object is 1.5 MiB.
	MaxBody = 6 << 20
	// maxDepth is the deepest nesting; real objects have about two dozen levels.
	maxDepth = 64
	// readTime is how long a body may take to arrive.
	readTime = 10 * time.Second
	// smallBody separates ordinary requests from large ones, which get fewer slots.
	smallBody  = 256 << 10
	smallSlots = 256
	largeSlots = 8
)

// Reviewer answers one request. The context ends when the client closes the connection.
type Reviewer func(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

// Handler answers AdmissionReviews of version v1 and refuses everything else with a 4xx.
type Handler struct {
	review Reviewer
	log    *slog.Logger
	small  *semaphore.Weighted
	large  *semaphore.Weighted
}

// NewHandler returns a handler that calls review.
func NewHandler(review Reviewer, log *slog.Logger) *Handler {
	return &Handler{review: review, log: log, small: semaphore.NewWeighted(smallSlots), large: semaphore.NewWeighted(largeSlots)}
}

// httpError is an error with the HTTP status of the response.
type httpError struct {
	status int
	reason string
}

func (e *httpError) Error() string { return e.reason }

func bad(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.answer(w, r)
	if e := new(httpError); errors.As(err, &e) {
		http.Error(w, e.reason, e.status)
		return
	} else if err != nil {
		h.log.Error("admission review failed", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // the client may be gone; it retries
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	leave, err := h.enter(r)
	if err != nil {
		return nil, err
	}
	defer leave()
	review, err := read(w, r)
	if err != nil {
		return nil, err
	}
	response := h.safely(r.Context(), review.Request)
	response.UID = review.Request.UID
	return json.Marshal(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
}

func checkRequest(r *http.Request) error {
	if r.Method != http.MethodPost {
		return &httpError{http.StatusMethodNotAllowed, "send an AdmissionReview by POST"}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &httpError{http.StatusUnsupportedMediaType, "send an AdmissionReview as application/json"}
	}
	if r.Header.Get("Content-Encoding") != "" {
		return &httpError{http.StatusUnsupportedMediaType, "send the AdmissionReview without an encoding"}
	}
	switch {
	case r.ContentLength < 0:
		return &httpError{http.StatusLengthRequired, "send the length of the AdmissionReview"}
	case r.ContentLength > MaxBody:
		return &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the AdmissionReview is larger than %d bytes", MaxBody)}
	}
	return nil
}

// enter takes a slot, so that the memory for bodies is bounded.
func (h *Handler) enter(r *http.Request) (leave func(), err error) {
	slots := h.small
	if r.ContentLength > smallBody {
		slots = h.large
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	switch err := slots.Acquire(ctx, 1); {
	case err == nil:
		return func() { slots.Release(1) }, nil
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	}
	return nil, &httpError{http.StatusTooManyRequests, "too many requests at a time"}
}

func read(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, error) {
	// Without a deadline a body that never ends keeps its slot.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, bad("read body: %v", err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if !shallow(body, maxDepth) {
		return nil, bad("nested deeper than %d levels", maxDepth)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, bad("decode AdmissionReview: %v", err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" {
		return nil, bad("%q %q is not an AdmissionReview of admission.k8s.io/v1", review.APIVersion, review.Kind)
	}
	if review.Request == nil { // its uid may be empty: istioctl kube-inject sends none
		return nil, bad("the AdmissionReview has no request")
	}
	return &review, nil
}

// shallow reports whether no bracket of the text is nested deeper than depth; it looks at brackets outside of strings only
// and leaves every other error to the decoder.
func shallow(text []byte, depth int) bool {
	level, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if level++; level > depth {
				return false
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return true
}

// safely turns a panic into a refusal: one object must not stop admission for all others.
func (h *Handler) safely(ctx context.Context, request *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("admission review panicked", "namespace", request.Namespace, "name", request.Name, "panic", p)
			response = Deny(http.StatusInternalServerError, "internal error")
		}
	}()
	return h.review(ctx, request)
}

// Allow admits the object, with warnings for its author.
func Allow(warnings ...string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true, Warnings: Warnings(warnings)}
}

// Deny refuses the object with a status code and a reason for its author.
func Deny(code int32, reason string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Status: metav1.StatusFailure, Code: code, Message: reason}}
}

// Warnings cuts warnings to what the API server passes on: 256 characters each, 4096 together.
func Warnings(in []string) []string {
	const one, all = 256, 4096
	var out []string
	total := 0
	for _, w := range in {
		w = cut(w, one)
		if total += len(w); total > all {
			break
		}
		out = append(out, w)
	}
	return out
}

// cut shortens text to n bytes without breaking a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const dots = "..."
	end := n - len(dots)
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end] + dots
}
