package telemetry

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

var busy, quiet = workload{"a", "busy"}, workload{"a", "quiet"}

// pathsOf are the paths of an answer.
func pathsOf(a accesslog.Answer) string {
	var paths []string
	for _, e := range a.Entries {
		paths = append(paths, e.Path)
	}
	return strings.Join(paths, " ")
}

func entry(w workload, path string, code int, at time.Time) *accesslog.Entry {
	return &accesslog.Entry{Namespace: w.namespace, Workload: w.name, Reporter: accesslog.Source, Path: path, Code: code, Time: at}
}

type evictions map[string]int

func (e evictions) count(reason string, n int) { e[reason] += n }

func TestStoreKeepsTheLastOfEachWorkload(t *testing.T) {
	evicted := evictions{}
	s := newStore("one", Limits{PerWorkload: 3, Bytes: 1 << 20}, evicted.count)
	now := time.Unix(1000, 0)
	s.add(quiet, []*accesslog.Entry{entry(quiet, "/quiet", 200, now)})
	for i := range 10 {
		s.add(busy, []*accesslog.Entry{entry(busy, fmt.Sprintf("/%d", i), 200+300*(i%2), now.Add(time.Duration(i)*time.Second))})
	}
	for want, q := range map[string]accesslog.Query{
		"/quiet /7 /8 /9": {},
		"/7 /8 /9":        {Workload: "busy", Namespace: "a"},
		"/quiet":          {Workload: "quiet"},
		"/7 /9":           {Status: "5xx"},
		"/8 /9":           {Since: now.Add(8 * time.Second)},
		"/9":              {Limit: 1},
		"":                {Namespace: "b"},
	} {
		if got := s.read(q); pathsOf(got) != want || got.Lost || got.Instance != "one" {
			t.Errorf("%+v: got %s (lost: %t), want %s", q, pathsOf(got), got.Lost, want)
		}
	}
	if evicted[evictedByWorkload] != 7 || evicted[evictedByMemory] != 0 {
		t.Errorf("evicted %v", evicted)
	}
}

func TestStoreAnswersWhatIsNewSinceACursor(t *testing.T) {
	s := newStore("one", Limits{PerWorkload: 2, Bytes: 1 << 20}, evictions{}.count)
	add := func(path string) { s.add(busy, []*accesslog.Entry{entry(busy, path, 200, time.Unix(1, 0))}) }
	add("/1")
	first := s.read(accesslog.Query{})
	if got := s.read(accesslog.Query{After: first.Cursor}); len(got.Entries) > 0 || got.Lost {
		t.Errorf("without a new entry: %+v", got)
	}
	add("/2")
	add("/3")
	if got := s.read(accesslog.Query{After: first.Cursor}); pathsOf(got) != "/2 /3" || got.Lost {
		t.Errorf("got %s, lost %t", pathsOf(got), got.Lost)
	}
	add("/4")
	if got := s.read(accesslog.Query{After: first.Cursor}); pathsOf(got) != "/3 /4" || !got.Lost {
		t.Errorf("got %s, lost %t", pathsOf(got), got.Lost)
	}
}

// TestStoreIsBounded adds entries of random sizes of many workloads: the bytes never exceed the limit, and are counted rightly.
func TestStoreIsBounded(t *testing.T) {
	const limit = 50_000
	evicted := evictions{}
	s := newStore("one", Limits{PerWorkload: 20, Bytes: limit}, evicted.count)
	s.add(quiet, []*accesslog.Entry{entry(quiet, "/quiet", 200, time.Unix(1, 0))})
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		w := workload{"a", fmt.Sprint(random.IntN(30))}
		s.add(w, []*accesslog.Entry{entry(w, strings.Repeat("x", random.IntN(1000)), 200, time.Unix(1, 0))})
		if s.bytes > limit {
			t.Fatalf("%d bytes", s.bytes)
		}
	}
	bytes := 0
	for _, l := range s.workloads {
		own := 0
		for _, e := range l.entries {
			own += e.entry.Size()
		}
		if own != l.bytes || len(l.entries) == 0 {
			t.Errorf("a workload with %d entries of %d bytes says %d", len(l.entries), own, l.bytes)
		}
		bytes += own
	}
	if bytes != s.bytes || evicted[evictedByMemory] == 0 {
		t.Errorf("%d bytes, the store says %d; evicted %v", bytes, s.bytes, evicted)
	}
	if got := s.read(accesslog.Query{Workload: "quiet"}); pathsOf(got) != "/quiet" {
		t.Errorf("busy workloads have pushed out the quiet one: %q", pathsOf(got))
	}
}

// TestStoreTakesAnEntryLargerThanItsLimit holds nothing then.
func TestStoreTakesAnEntryLargerThanItsLimit(t *testing.T) {
	s := newStore("one", Limits{PerWorkload: 20, Bytes: 100}, evictions{}.count)
	s.add(quiet, []*accesslog.Entry{entry(quiet, "/1", 200, time.Unix(1, 0)), entry(quiet, "/2", 200, time.Unix(1, 0))})
	if workloads, bytes := s.size(); workloads != 0 || bytes != 0 {
		t.Errorf("%d workloads, %d bytes", workloads, bytes)
	}
	if got := s.read(accesslog.Query{After: 1}); !got.Lost {
		t.Errorf("entries of a workload that is gone are not lost: %+v", got)
	}
}

func TestUpstreamsAreBounded(t *testing.T) {
	u := newUpstreams(3, 4)
	for i := range 10 {
		for j := range 10 {
			e := entry(busy, "/", 200+303*(j%2), time.Unix(int64(100*i+j), 0))
			e.UpstreamCluster, e.UpstreamHost = fmt.Sprintf("outbound|80||h%d", j), "10.0.0.1:80"
			u.add(workload{"a", fmt.Sprint(i)}, []*accesslog.Entry{e, e})
		}
	}
	if len(u.workloads) != 3 || len(u.of(workload{"a", "0"})) != 0 {
		t.Errorf("there are %d workloads: %v", len(u.workloads), u.workloads)
	}
	var got []string
	for _, up := range u.of(workload{"a", "9"}) {
		got = append(got, fmt.Sprintf("%s:%d %d/%d %d", up.Host, up.Port, up.Errors, up.Requests, up.LastSeen.Unix()))
	}
	if want := "h6:80 0/2 906, h7:80 2/2 907, h8:80 0/2 908, h9:80 2/2 909"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}
