package agent

import (
	"bytes"
	"strings"
)

// sanitize removes what Prometheus accepts in a metrics page and the parser of package expfmt rejects: a repeated HELP or
// TYPE line, a TYPE line after samples, and a last line without a newline. It changes page in place.
func sanitize(page []byte) []byte {
	if len(page) > 0 && page[len(page)-1] != '\n' {
		page = append(page, '\n')
	}
	families, kept := families{}, page[:0]
	for line := range bytes.Lines(page) {
		if families.add(line) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// family is what the page has declared of a metric so far.
type family struct {
	help  bool
	kind  string // of its TYPE line
	typed bool   // by that or by a sample
}

type families map[string]*family

// add reports whether to keep a line.
func (f families) add(line []byte) bool {
	line = bytes.TrimLeft(line, blanks)
	comment, isComment := bytes.CutPrefix(line, []byte("#"))
	if !isComment {
		if name, _, plain := cutName(line); plain {
			f.of(name).typed = true
		}
		return true
	}
	keyword, rest := cutBlank(bytes.TrimLeft(comment, blanks))
	name, rest, plain := cutName(rest)
	text := bytes.Trim(rest, blanks+"\n")
	if !plain || len(text) == 0 {
		return true
	}
	switch string(keyword) {
	case "HELP":
		return once(&f.of(name).help)
	case "TYPE":
		known := f.of(name)
		if !known.typed {
			known.kind = strings.ToLower(string(text))
		}
		return once(&known.typed)
	}
	return true
}

// of returns the family of a sample's name: the family of that name, or the summary or histogram that the sample is part of.
func (f families) of(name []byte) *family {
	if known, ok := f[string(name)]; ok {
		return known
	}
	for _, part := range []string{"_count", "_sum", "_bucket"} {
		whole, ok := bytes.CutSuffix(name, []byte(part))
		if !ok {
			continue
		}
		if known, ok := f[string(whole)]; ok && (strings.HasSuffix(known.kind, "histogram") || known.kind == "summary" && part != "_bucket") {
			return known
		}
	}
	known := &family{}
	f[string(name)] = known
	return known
}

const blanks = " \t"

func cutBlank(text []byte) (token, rest []byte) {
	end := bytes.IndexAny(text, blanks+"\n")
	if end < 0 {
		return text, nil
	}
	return text[:end], bytes.TrimLeft(text[end:], blanks)
}

// cutName returns the metric name at the start of a text; false when there is none, or a quoted one.
func cutName(text []byte) (name, rest []byte, plain bool) {
	end := bytes.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != ':'
	})
	if end <= 0 || text[end] == '"' || text[0] >= '0' && text[0] <= '9' {
		return nil, nil, false
	}
	return text[:end], text[end:], true
}

// once sets done and reports whether it was unset.
func once(done *bool) bool {
	first := !*done
	*done = true
	return first
}
