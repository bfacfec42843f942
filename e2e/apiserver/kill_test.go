package apiserver

import (
	"sync"
	"testing"
)

// TestKilled kills the operator at a write, and its successor at a later one, before the write is sent or after it is carried
// out. The one after that finds what they left, and ends where an operator would that was never killed.
func TestKilled(t *testing.T) {
	for _, run := range []struct {
		name        string
		guests      bool
		first, last int
	}{{"Alone", false, 0, 3}, {"WithGuests", true, 3, 6}} {
		t.Run(run.name, func(t *testing.T) {
			clean(t)
			beside(t, strangers)
			fate := &deaths{t: t}
			o := operate(t, fate.wire)
			if run.guests {
				inside(t)
			}
			first := tell(t, o)
			for round := run.first; round < run.last; round++ {
				retell(t, first, func(act string) {
					fate.plan(act, deathsOf(act, round))
					o.current().Judge(fate.next())
				})
			}
		})
	}
}

// deathsOf spreads the deaths of six rounds over all writes of an act. A second operator begins with writes that change
// nothing, since it does not know yet what is there.
func deathsOf(act string, round int) []int {
	switch act {
	case "install":
		return []int{1 + 11*round, 8 + (11*round+6)%66}
	case "change":
		return []int{1 + round%5, 60 + 3*round}
	}
	return []int{1 + 8*round, 7 + (8*round+4)%48}
}

// deaths are the writes at which this operator and its successors die.
type deaths struct {
	t *testing.T

	mu    sync.Mutex
	act   string
	queue []int
}

func (d *deaths) plan(act string, writes []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.act, d.queue = act, writes
}

// wire is that of the next operator.
func (d *deaths) wire() *Wire { return NewWire(d.next()) }

// next takes the next death.
func (d *deaths) next() Judge {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return nil
	}
	at, act := d.queue[0], d.act
	d.queue = d.queue[1:]
	return func(n int, request string) Fault {
		if n != at {
			return None
		}
		kind := Dead
		if n%2 == 0 {
			kind = DeadDone
		}
		d.t.Logf("%s, write %d: %s: %s", act, n, request, kind)
		return kind
	}
}
