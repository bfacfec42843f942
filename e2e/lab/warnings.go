package lab

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Answer is the API server's answer to one request.
type Answer struct {
	Refusal  string
	Warnings []string
}

// TryCreate creates an object as a dry run.
func (l *Lab) TryCreate(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		_, err := c.Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		if apierrors.IsAlreadyExists(err) {
			err = nil // admission, which comes before, accepted it
		}
		return err
	})
}

// TryUpdate updates an object as a dry run.
func (l *Lab) TryUpdate(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		_, err := c.Update(ctx, u, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		return err
	})
}

// TryDelete deletes an object as a dry run.
func (l *Lab) TryDelete(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		return c.Delete(ctx, u.GetName(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	})
}

// try sends a request with a client of its own, which collects the warnings. Its error is one of the connection; a refusal is in
// the answer.
func (l *Lab) try(u *unstructured.Unstructured, request func(dynamic.ResourceInterface) error) (Answer, error) {
	received := &warnings{}
	config := rest.CopyConfig(l.Config)
	config.WarningHandlerWithContext = received
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return Answer{}, err
	}
	own := *l
	own.Dynamic = client
	resource, err := own.resource("default", u)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{}
	if err := request(resource); err != nil {
		if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
			return answer, err
		}
		answer.Refusal = err.Error()
	}
	answer.Warnings = received.all()
	return answer, nil
}

// warnings collects the Warning headers of answers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext adds one warning.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.texts
}
