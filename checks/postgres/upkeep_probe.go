package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// was is what the confirmed preview told of one target.
type was struct {
	Label string
	OID   uint32
	Table uint32    // of an index
	File  uint32    // relfilenode
	At    time.Time // last vacuumed or analysed; zero: never
}

// Facts of a preview by which a probe tells. They come in this order for each
// target, so that a label that was cleaned need not be read back.
const (
	oidFact   = "oid"
	tableFact = "table_oid"
	fileFact  = "filenode"
	lastFact  = "last"
)

var beforeFacts = []fact.Spec{
	{Name: oidFact, Type: fact.Count, Label: "target", Optional: true, Doc: "of a preview: the target's object id"},
	{Name: fileFact, Type: fact.Count, Label: "target", Optional: true, Doc: "of a preview: its relfilenode, which a rewrite changes"},
	{Name: lastFact, Type: fact.Time, Label: "target", Optional: true, Doc: "of a preview: when it was last done by hand; absent for never"},
	{Name: "running", Type: fact.Bool, Optional: true, Doc: "of a probe: a session of the action is still at work on the server"},
	{Name: "remaining", Type: fact.Count, Optional: true, Worse: fact.Higher, Doc: "of a probe: targets that do not show the effect"},
	checks.DoneFact,
}

func (w was) facts() []fact.Fact {
	facts := []fact.Fact{fact.Number(oidFact, w.OID).On(w.Label)}
	if w.Table != 0 {
		facts = append(facts, fact.Number(tableFact, w.Table).On(w.Label))
	}
	if w.File != 0 {
		facts = append(facts, fact.Number(fileFact, w.File).On(w.Label))
	}
	if !w.At.IsZero() {
		facts = append(facts, fact.At(lastFact, w.At).On(w.Label))
	}
	return facts
}

// before reads the preview's facts back.
func before(env checks.Env) []was {
	var found []was
	for _, f := range env.Before {
		if f.Name == oidFact {
			found = append(found, was{Label: f.Label, OID: uint32(f.Num)})
		}
		if len(found) == 0 {
			continue
		}
		switch last := &found[len(found)-1]; f.Name {
		case tableFact:
			last.Table = uint32(f.Num)
		case fileFact:
			last.File = uint32(f.Num)
		case lastFact:
			last.At = f.Instant()
		}
	}
	return found
}

// confirmed keeps the targets that the confirmed preview showed: what was not
// shown is not touched. What was shown and is not to be done any more is left
// out by name. Without a preview all stay.
func confirmed[T any](u *upkeep, env checks.Env, targets []T, oid func(T) uint32) []T {
	shown := before(env)
	if len(shown) == 0 {
		return targets
	}
	var kept []T
	for _, w := range shown {
		i := slices.IndexFunc(targets, func(t T) bool { return oid(t) == w.OID })
		if i < 0 {
			u.leave(w.Label, "not to be done any more")
			continue
		}
		kept = append(kept, targets[i])
	}
	return kept
}

// leave leaves a target out, once.
func (u *upkeep) leave(label, why string) {
	if !slices.ContainsFunc(u.left, func(l string) bool { return strings.HasPrefix(l, label+": ") }) {
		u.left = append(u.left, label+": "+why)
	}
}

// probe counts the targets of the preview that do not show the effect. An
// action whose session is still there is not done, however it looks.
func probe(ctx context.Context, env checks.Env, done func(was, upkeepState) bool) (checks.Findings, error) {
	s, err := actingServer(env)
	if err != nil {
		return checks.Findings{}, err
	}
	targets := before(env)
	if len(targets) == 0 {
		return checks.Findings{}, checks.Failed(checks.NoData, "no target of the preview to look at")
	}
	state, err := s.upkeepState(ctx, env.Token)
	if err != nil {
		return checks.Findings{}, err
	}
	var missing []string
	for _, w := range targets {
		if !done(w, state) {
			missing = append(missing, w.Label)
		}
	}
	f := checks.Findings{Target: s.config.Database, Note: "done to all " + strconv.Itoa(len(targets)), Facts: []fact.Fact{
		fact.Flag("done", len(missing) == 0 && !state.running), fact.Flag("running", state.running), fact.Number("remaining", len(missing)),
	}}
	if len(missing) > 0 {
		f.Note = fmt.Sprintf("not done to %d of %d", len(missing), len(targets))
		f.Detail = append(f.Detail, "not done to "+strings.Join(missing[:min(len(missing), 50)], ", "))
	}
	if state.running {
		f.Note += "; still at work on the server"
	}
	return f, nil
}

// An upkeepState is what a probe compares with.
type upkeepState struct {
	running bool
	tables  map[uint32]userTable
	indexes []index
}

// sessionLinger is how long the session of an action that has ended may still
// be listed.
const sessionLinger = 2 * time.Second

func (s *Server) upkeepState(ctx context.Context, token string) (upkeepState, error) {
	state := upkeepState{tables: map[uint32]userTable{}}
	var err error
	for deadline := time.Now().Add(sessionLinger); ; {
		if state.running, err = s.atWork(ctx, token); err != nil || !state.running || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return state, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		return state, err
	}
	err = s.readOnly(ctx, "probe", func(ctx context.Context, r *reading) error {
		settings, _ := s.Settings()
		all, err := r.relations(ctx, settings.Version)
		if err != nil {
			return err
		}
		for _, one := range all {
			state.tables[one.OID] = one
		}
		state.indexes, err = r.indexes(ctx, settings.Version)
		return err
	})
	return state, err
}
