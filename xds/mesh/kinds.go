package mesh

import (
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// kind is how objects of one of Istio's kinds become part of the snapshot. How they are decoded and validated is in the kind's row of
// internal/istioconfig.
type kind struct {
	model func(istioconfig.Object) model
	index func(s *Snapshot, m model, in bool) // takes a model in or out
}

// model is an object with its names resolved, such as *VirtualService.
type model interface{ key() string }

// kinds has a row for each kind that istioconfig enforces.
var kinds = map[istioconfig.Kind]kind{
	istioconfig.VirtualService:     row(newVirtualService, (*Snapshot).putVirtualService),
	istioconfig.DestinationRule:    row(newDestinationRule, (*Snapshot).putDestinationRule),
	istioconfig.Gateway:            row(newGateway, (*Snapshot).putGateway),
	istioconfig.PeerAuthentication: row(newPeerAuthentication, (*Snapshot).putPeerAuthentication),
	istioconfig.ServiceEntry:       row(newServiceEntry, (*Snapshot).putServiceEntry),
	istioconfig.Telemetry:          row(newTelemetryRule, (*Snapshot).putTelemetry),
}

// row makes a kind of functions for its type of specification and of model.
func row[S proto.Message, M model](build func(istioconfig.Object, S) M, put func(*Snapshot, M, bool)) kind {
	return kind{
		model: func(o istioconfig.Object) model {
			if spec, ok := o.Spec.(S); ok {
				return build(o, spec)
			}
			return nil
		},
		index: func(s *Snapshot, m model, in bool) {
			if m, ok := m.(M); ok {
				put(s, m, in)
			}
		},
	}
}

// configEntry is what became of a configuration object.
type configEntry struct {
	model    model // nil: it has no effect
	problems []Problem
}

// updateConfig follows the change of one object. A panic costs the object its change, but where the kind fails closed it costs the
// snapshot: without the object plaintext might be let in.
func (s *Snapshot) updateConfig(c table.Change[*istioconfig.Object]) {
	step := func(f func()) { s.guarded(c.Key, f) }
	if kindOf(c).FailsClosed() {
		step = func(f func()) { f() }
	}
	if c.Had && (!c.Has || !c.New.SameAs(*c.Old)) { // the last valid version is not that of another object of its name
		step(func() { s.removeConfig(c) })
	}
	if c.Has {
		step(func() { s.putConfig(c.Key, *c.New) })
	}
}

func kindOf(c table.Change[*istioconfig.Object]) istioconfig.Kind {
	if c.Has {
		return c.New.Kind
	}
	return c.Old.Kind
}

func (s *Snapshot) removeConfig(c table.Change[*istioconfig.Object]) {
	if before := s.index.config.Get(c.Key); before != nil {
		kinds[c.Old.Kind].index(s, before.model, false)
	}
	s.index.config, s.index.invalid = s.index.config.Without(c.Key), s.index.invalid.Without(c.Key)
}

// putConfig replaces the model of an object. An invalid version has no effect, and while the last valid one is known, that one stays.
// Where the kind fails closed, an invalid version has the effect that it can have.
func (s *Snapshot) putConfig(key string, o istioconfig.Object) {
	before, now := s.index.config.Get(key), &configEntry{problems: validate(o)}
	if before == nil {
		before = &configEntry{}
	}
	if len(now.problems) == 0 {
		s.index.invalid = s.index.invalid.Without(key)
	} else {
		s.index.invalid = s.index.invalid.With(key, now)
	}
	row := kinds[o.Kind]
	if len(now.problems) == 0 || o.Kind.FailsClosed() {
		now.model = row.model(o)
	} else {
		now.model = before.model
	}
	if before.model != nil && now.model != nil && before.model.key() == now.model.key() {
		now.model = before.model
	}
	s.index.config = s.index.config.With(key, now)
	if before.model != now.model {
		row.index(s, before.model, false)
		row.index(s, now.model, true)
	}
}

// validate returns the problems of an object alone.
func validate(o istioconfig.Object) []Problem {
	var problems []Problem
	object := objectOf(o)
	if panicked := Guarded(object, func() {
		for _, p := range istioconfig.Validate(o) {
			problems = append(problems, Problem{Object: object, Field: p.Field, Reason: p.Reason})
		}
	}); panicked != nil {
		problems = append(problems, *panicked)
	}
	return LimitProblems(problems)
}
