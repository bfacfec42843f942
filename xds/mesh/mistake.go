package mesh

import (
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Pilot is the object that is blamed for a mistake of pilot's own that no object of a user's can be blamed for.
const Pilot resource.Object = "Pilot"

// Guarded runs f and returns what it panicked with as a problem of object; nil if it did not. A panic is a mistake of
// pilot's own, and one object that brings it out must not end the process that configures everybody's proxies. It is for
// functions that leave nothing half changed behind: what they would have replaced stays.
func Guarded(object resource.Object, f func()) (mistake *Problem) {
	defer func() {
		if r := recover(); r != nil {
			m := Mistake(object, r)
			mistake = &m
		}
	}()
	f()
	return nil
}

// Mistake is the problem that object has by a panic. It is called where the panic is recovered.
func Mistake(object resource.Object, recovered any) Problem {
	p := caught(recovered)
	return Problem{Object: object, Reason: "internal error: " + p.value, Stack: p.stack}
}

// repeated is what is panicked with in place of a panic that happened earlier.
type repeated struct{ value, stack string }

const (
	longestValue = 200 // of what was panicked with, which may be as long as an object
	deepestStack = 64
)

func caught(recovered any) repeated {
	if again, ok := recovered.(repeated); ok {
		return again
	}
	value := fmt.Sprint(recovered)
	return repeated{value[:min(len(value), longestValue)], panicStack()}
}

// panicStack says where the panic that is being recovered began, up to what guards against it. It has no addresses and
// goroutines in it, so that the same mistake reads the same each time.
func panicStack() string {
	pcs := make([]uintptr, deepestStack)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	var lines []string
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.HasSuffix(f.Function, "/mesh.Guarded") {
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
	if mistake := Guarded(resource.Object(object), step); mistake != nil {
		*s = before
		s.index.invalid = s.index.invalid.With(object, &configEntry{object: mistake.Object, problems: []Problem{*mistake}})
	}
}
