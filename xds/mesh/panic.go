package mesh

import (
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Pilot is the object that is blamed for a panic that no object of a user can be blamed for.
const Pilot resource.Object = "Pilot"

// Panic is what a function panicked with: a defect of pilot. A *Panic that is panicked with again stays the same.
type Panic struct {
	Value  any
	Reason string // the value as text, cut to maxPanicText
	Stack  string // from where it began to Catch; without addresses and goroutines, so that one defect reads the same each time
}

const (
	maxPanicText   = 200 // the value may be as long as an object
	maxPanicFrames = 64
)

// Catch runs f and returns what it panicked with; nil if it did not. It is the only place in pilot that recovers: one object
// must not end the process that configures all proxies. Use it for functions that leave nothing half changed behind.
func Catch(f func()) (p *Panic) {
	defer func() {
		if r := recover(); r != nil {
			p = newPanic(r)
		}
	}()
	f()
	return nil
}

// Guarded is Catch with the panic as a problem of object.
func Guarded(object resource.Object, f func()) *Problem {
	if p := Catch(f); p != nil {
		problem := p.Problem(object)
		return &problem
	}
	return nil
}

// Problem is the problem that object has by the panic.
func (p *Panic) Problem(object resource.Object) Problem {
	return Problem{Object: object, Reason: "internal error: " + p.Reason, Stack: p.Stack}
}

func newPanic(value any) *Panic {
	if again, ok := value.(*Panic); ok {
		return again
	}
	text := fmt.Sprint(value)
	return &Panic{Value: value, Reason: text[:min(len(text), maxPanicText)], Stack: panicStack()}
}

// panicStack lists the frames from where the panic that is being recovered began, up to Catch.
func panicStack() string {
	pcs := make([]uintptr, maxPanicFrames)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	var lines []string
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.HasSuffix(f.Function, "/mesh.Catch") {
			break
		}
		lines = append(lines, fmt.Sprintf("%s %s:%d", f.Function, path.Base(f.File), f.Line))
	}
	if at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "runtime.gopanic ") }); at >= 0 {
		lines = lines[at+1:]
	}
	return strings.Join(lines, "\n")
}

// guarded runs one step of Build, which is about one object. If it panics, the snapshot stays as it was before the step and
// the object has a problem.
func (s *Snapshot) guarded(object string, step func()) {
	before := *s
	if problem := Guarded(resource.Object(object), step); problem != nil {
		*s = before
		s.index.invalid = s.index.invalid.With(object, &configEntry{problems: []Problem{*problem}})
	}
}
