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

// Answer is what the API server said to one request.
type Answer struct {
	Refusal  string
	Warnings []string
}

// TryCreate asks what the API server says to the creation of an object, without creating it.
func (l *Lab) TryCreate(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		_, err := c.Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		if apierrors.IsAlreadyExists(err) {
			err = nil // that comes last, after admission
		}
		return err
	})
}

// TryUpdate asks what the API server says to another state of an object, without changing it.
func (l *Lab) TryUpdate(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		_, err := c.Update(ctx, u, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		return err
	})
}

// TryDelete asks what the API server says to the deletion of an object, without deleting it.
func (l *Lab) TryDelete(ctx context.Context, u *unstructured.Unstructured) (Answer, error) {
	return l.try(u, func(c dynamic.ResourceInterface) error {
		return c.Delete(ctx, u.GetName(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	})
}

// try makes a request with a client of its own, which keeps the warnings. Its error is one of the connection.
func (l *Lab) try(u *unstructured.Unstructured, request func(dynamic.ResourceInterface) error) (Answer, error) {
	heard := &warnings{}
	config := rest.CopyConfig(l.Config)
	config.WarningHandlerWithContext = heard
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
	answer.Warnings = heard.all()
	return answer, nil
}

// warnings collects the warnings of answers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext keeps one warning.
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
