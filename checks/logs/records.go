package logs

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// ReadFacts are the facts of every Reading, for modules of other families that
// read a log line by line.
func ReadFacts() []fact.Spec {
	return []fact.Spec{linesFact, parsedFact, unparsedFact, gapsFact, futureFact}
}

// A Reading is what a window of a log source came to.
type Reading struct {
	Parsed int64       // dated lines in the window
	Facts  []fact.Fact // those of ReadFacts
	Detail []string    // evidence: window, files, gaps

	// NotUnderstood is for the Findings of the same name.
	NotUnderstood string
}

// Read hands every dated line of a source that was written in [from, to) to
// visit, rotated and gzipped siblings included. The text is valid until visit
// returns; lines that continue a record are not visited. A source that the
// site does not have is checks.NotHere; one to which nothing was ever written,
// or in which no line could be dated, is an error.
func Read(ctx context.Context, env checks.Env, name string, from, to time.Time, visit func(text []byte, at time.Time)) (Reading, error) {
	src, err := sourceNamed(env, name)
	if err != nil {
		return Reading{}, err
	}
	s := newScan(src, from, to, clock(env), func(l *line) {
		if l.kind == head {
			visit(l.text, l.at())
		}
	})
	t, err := s.run(ctx)
	if err != nil {
		return Reading{}, err
	}
	if err := t.understood(src); err != nil {
		return Reading{}, err
	}
	return Reading{Parsed: t.parsed, Facts: t.facts(), Detail: t.detail(from, to), NotUnderstood: t.notUnderstood()}, nil
}
