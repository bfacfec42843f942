package apiserver

import (
	"testing"
)

// rounds is how many rounds it takes to break every write once. The first half of them plays with a mesh that leaves nothing
// behind, the second with one whose namespace and definitions stay because of guests.
const rounds = 4

// TestWriteFaults breaks writes of an install, of a change that prunes, and of a removal, in every way a write can break.
func TestWriteFaults(t *testing.T) {
	for _, run := range []struct {
		name        string
		userObjects bool
		first, last int
	}{{"Alone", false, 0, rounds / 2}, {"WithGuests", true, rounds / 2, rounds}} {
		t.Run(run.name, func(t *testing.T) {
			cleanUp(t)
			withObjects(t, unrelatedObjects)
			o := startOperator(t, noFaults)
			if run.userObjects {
				installedBefore(t)
			}
			first := runLifecycle(t, o)
			for round := run.first; round < run.last; round++ {
				replayLifecycle(t, first, func(run string) { o.current().FaultFunc(faults(t, run, round, first.writes[run])) })
			}
		})
	}
}

// faults breaks one write in rounds, beginning with the one of this round, and none beyond the number of writes that the act
// takes, so that every act ends.
func faults(t *testing.T, run string, round, writes int) FaultFunc {
	kinds := []Fault{Lost, Internal, Reset, Conflict, Lost, Busy}
	return func(n int, request string) Fault {
		if n > writes || n%rounds != round {
			return None
		}
		kind := kinds[(n/rounds+round)%len(kinds)]
		t.Logf("round %d, %s, write %d: %s: %s", round, run, n, request, kind)
		return kind
	}
}
