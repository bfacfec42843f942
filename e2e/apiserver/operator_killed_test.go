package apiserver

import (
	"sync"
	"testing"
)

// TestOperatorKilledAtAnyWrite kills the operator at a write, and its successor at a later one, before the write is sent or after it is carried
// out. The one after that finds what they left, and ends where an operator would that was never killed.
func TestOperatorKilledAtAnyWrite(t *testing.T) {
	for _, run := range []struct {
		name        string
		userObjects bool
		first, last int
	}{{"Alone", false, 0, 3}, {"WithGuests", true, 3, 6}} {
		t.Run(run.name, func(t *testing.T) {
			cleanUp(t)
			withObjects(t, unrelatedObjects)
			fate := &kills{t: t}
			o := startOperator(t, fate.transport)
			if run.userObjects {
				installedBefore(t)
			}
			first := runLifecycle(t, o)
			for round := run.first; round < run.last; round++ {
				replayLifecycle(t, first, func(run string) {
					fate.plan(run, killsOf(run, round))
					o.current().FaultFunc(fate.next())
				})
			}
		})
	}
}

// killsOf spreads the deaths of six rounds over all writes of an act. A second operator begins with writes that change
// nothing, since it does not know yet what is there.
func killsOf(run string, round int) []int {
	switch run {
	case "install":
		return []int{1 + 11*round, 8 + (11*round+6)%66}
	case "change":
		return []int{1 + round%5, 60 + 3*round}
	}
	return []int{1 + 8*round, 7 + (8*round+4)%48}
}

// kills are the writes at which this operator and its successors die.
type kills struct {
	t *testing.T

	mu    sync.Mutex
	run   string
	queue []int
}

func (d *kills) plan(run string, writes []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run, d.queue = run, writes
}

// transport is that of the next operator.
func (d *kills) transport() *Transport { return NewWire(d.next()) }

// next takes the next death.
func (d *kills) next() FaultFunc {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return nil
	}
	at, run := d.queue[0], d.run
	d.queue = d.queue[1:]
	return func(n int, request string) Fault {
		if n != at {
			return None
		}
		kind := Dead
		if n%2 == 0 {
			kind = DeadDone
		}
		d.t.Logf("%s, write %d: %s: %s", run, n, request, kind)
		return kind
	}
}
