package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// Options are what a report knows beyond its run.
type Options struct {
	Now       time.Time
	Version   string // of opsdeck
	Head      uint64 // number of the record's newest event
	HeadHash  runbooks.Hash
	Verified  string                   // what verify says of the record now: "intact and witnessed"
	Earlier   []runbooks.Run           // of the same section, for trends and estimates, oldest first
	Estimates map[string]time.Duration // by item; nil: the median of Earlier
	Budget    time.Duration            // of the section; 0: not bounded
	InWindow  bool                     // the section wants a window: what the run was due in is one
	Scrub     checks.Scrubber          // removes secrets that the record holds all the same; may be nil
}

// A Report is a run as evidence. Its JSON is a contract: fields may be added,
// never renamed; durations are milliseconds, times RFC 3339 with zone.
type Report struct {
	Run       string            `json:"run"`
	Site      string            `json:"site"`
	Runbook   string            `json:"runbook"`
	Section   string            `json:"section"`
	Title     string            `json:"title"`
	Period    string            `json:"period,omitempty"`
	State     runbooks.RunState `json:"state"`
	Level     checks.Level      `json:"level"`
	Reason    string            `json:"reason,omitempty"`
	Rehearsal bool              `json:"rehearsal,omitempty"`
	Host      string            `json:"host,omitempty"` // where it was opened

	Due      *time.Time `json:"due,omitempty"`       // the window's opening, if InWindow
	Overdue  *time.Time `json:"overdue,omitempty"`   // the window's end, if InWindow
	InWindow bool       `json:"in_window,omitempty"` // its actions begin inside a window only
	Opened   time.Time  `json:"opened"`
	Closed   *time.Time `json:"closed,omitempty"`
	TookMs   float64    `json:"took_ms"`
	BudgetMs float64    `json:"budget_ms,omitempty"`
	OverMs   float64    `json:"over_ms,omitempty"` // by how much it went over its budget
	RTOMs    float64    `json:"rto_ms,omitempty"`  // recovery time, where an item measured it

	OpenedBy Person   `json:"opened_by"`
	Driver   Person   `json:"driver"`
	People   []Person `json:"people"`

	Document    string `json:"document"` // path of the runbook
	DocumentSHA string `json:"document_sha256"`
	Version     string `json:"version"` // of opsdeck when the run was opened

	Items      []Item    `json:"items"`
	Notes      []Remark  `json:"notes,omitempty"`
	Exhibits   []Exhibit `json:"exhibits,omitempty"`
	Signatures []Remark  `json:"signatures,omitempty"`
	Aborting   *Remark   `json:"aborting,omitempty"`
	Window     *Remark   `json:"window_override,omitempty"`
	Absences   []Absence `json:"driver_absences,omitempty"`

	Head      uint64    `json:"head"`
	HeadHash  string    `json:"head_hash"`
	HeadWords string    `json:"head_words"`
	Verified  string    `json:"verified"`
	MadeAt    time.Time `json:"made_at"`
	MadeBy    string    `json:"made_by"` // opsdeck's version

	Trends []Trend `json:"trends,omitempty"`
}

// An Absence is a time in which the driver's line was gone while something went
// on.
type Absence struct {
	By    Person     `json:"by"`
	From  time.Time  `json:"from"`
	To    *time.Time `json:"to,omitempty"` // absent: the driver did not come back
	Items []string   `json:"items"`        // what went on
}

// String is the absence for a table.
func (a Absence) String() string {
	text := "the line of " + a.By.String() + " was gone from " + stamp(a.From)
	if a.To == nil {
		text += " on"
	} else {
		text += " to " + stamp(*a.To)
	}
	return text + ", while " + strings.Join(a.Items, ", ") + " went on"
}

func absencesOf(list []runbooks.Absence) []Absence {
	var out []Absence
	for _, a := range list {
		out = append(out, Absence{By: personOf(a.Actor), From: a.From, To: instant(a.To), Items: a.Items})
	}
	return out
}

// A Person is an actor; Verified says that the kernel vouched for the login, or
// for the user at the socket.
type Person struct {
	Name     string `json:"name"`
	Login    string `json:"login,omitempty"`
	UID      int    `json:"uid"`
	Host     string `json:"host,omitempty"`
	Verified bool   `json:"verified"`

	// LoginState is one of three answers: known, unset, unreadable. It is absent
	// in records of before it was kept.
	LoginState runbooks.LoginState `json:"login_state,omitempty"`
}

func personOf(a runbooks.Actor) Person {
	return Person{Name: a.Name, Login: a.Login, UID: a.UID, Host: a.Host, Verified: !a.Claimed, LoginState: a.LoginState}
}

// String is the person for a table: "ada", "root (login ada)", "ci (claimed)".
func (p Person) String() string {
	switch {
	case p.LoginState == runbooks.LoginUnreadable:
		return p.Name + " (login unreadable)"
	case !p.Verified: // first: no login makes a claim more than that
		return p.Name + " (claimed)"
	case p.Login != "" && p.Login != p.Name:
		return p.Name + " (login " + p.Login + ")"
	}
	return p.Name
}

// A Remark is something a person said.
type Remark struct {
	At    time.Time  `json:"at"`
	By    Person     `json:"by"`
	Text  string     `json:"text,omitempty"`
	Until *time.Time `json:"until,omitempty"`
}

func remarkOf(r *runbooks.Remark) *Remark {
	if r == nil {
		return nil
	}
	out := &Remark{At: r.At, By: personOf(r.Actor), Text: r.Text}
	if !r.Until.IsZero() {
		out.Until = &r.Until
	}
	return out
}

func remarksOf(list []runbooks.Remark) []Remark {
	var out []Remark
	for i := range list {
		out = append(out, *remarkOf(&list[i]))
	}
	return out
}

// An Item is one line of the checklist with all that came of it.
type Item struct {
	ID       string         `json:"item"`
	Title    string         `json:"title"`
	Group    string         `json:"group,omitempty"`
	Kind     runbooks.Kind  `json:"kind"`
	Module   string         `json:"module,omitempty"`
	Danger   int            `json:"danger,omitempty"`
	Guide    []int          `json:"guide,omitempty"`
	State    runbooks.State `json:"state"`
	Note     string         `json:"note,omitempty"`
	Choice   string         `json:"choice,omitempty"`
	Attempts []Attempt      `json:"attempts,omitempty"`
	Late     int            `json:"late_results,omitempty"`

	Skipped    *Remark   `json:"skipped,omitempty"`
	Override   *Remark   `json:"override,omitempty"`
	Seen       *Remark   `json:"acknowledged,omitempty"`
	Barred     []Remark  `json:"barred,omitempty"` // tries to begin it that the window forbade
	Notes      []Remark  `json:"notes,omitempty"`
	Exhibits   []Exhibit `json:"exhibits,omitempty"`
	Signatures []Remark  `json:"signatures,omitempty"`

	EstimateMs float64 `json:"estimate_ms,omitempty"`
}

// An Attempt is one try at an item.
type Attempt struct {
	N        int               `json:"n"`
	By       Person            `json:"by"`
	Started  time.Time         `json:"started"`
	Ended    *time.Time        `json:"ended,omitempty"`
	TookMs   float64           `json:"took_ms,omitempty"`
	State    runbooks.State    `json:"state"`
	Reason   string            `json:"reason,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Result   *checks.Result    `json:"result,omitempty"`
	SHA      string            `json:"result_sha256,omitempty"` // of the result as JSON
	Action   *Action           `json:"action,omitempty"`
	Hold     *Hold             `json:"hold,omitempty"`
}

// An Action is the story of an action, from the preview to the look from
// outside.
type Action struct {
	Target      string         `json:"target"`
	Fingerprint string         `json:"fingerprint,omitempty"`
	Danger      int            `json:"danger"`
	PreviewSHA  string         `json:"preview_sha256"`
	Preview     string         `json:"preview"`
	With        []Given        `json:"with,omitempty"`
	Shown       []Shown        `json:"preview_tables,omitempty"`
	Careful     []string       `json:"careful,omitempty"`
	Crash       string         `json:"crash"`
	Gates       []string       `json:"gates,omitempty"`
	Typed       string         `json:"typed,omitempty"`
	Signatures  []Remark       `json:"signatures,omitempty"`
	Confirmed   *Remark        `json:"confirmed,omitempty"`
	ToldApart   string         `json:"told_apart,omitempty"` // what the signatures rest on, where no logins are known
	Token       string         `json:"token,omitempty"`
	PID         int            `json:"pid,omitempty"`
	Cancelled   bool           `json:"cancelled,omitempty"`
	OutputBytes int64          `json:"output_bytes"`
	OutputSHA   string         `json:"output_sha256,omitempty"`    // of what was kept
	Truncated   bool           `json:"output_truncated,omitempty"` // not all of it was kept
	Tail        string         `json:"output_tail,omitempty"`
	LeftBehind  []string       `json:"left_behind,omitempty"`
	Verify      string         `json:"verify,omitempty"`
	Seen        *checks.Result `json:"seen_from_outside,omitempty"`
	SeenSHA     string         `json:"seen_sha256,omitempty"`
	Resolved    *Remark        `json:"resolved,omitempty"`
}

// A Hold is a watch.
type Hold struct {
	Until   time.Time    `json:"until"`
	Items   []string     `json:"items,omitempty"`
	Samples int          `json:"samples"`
	Worst   checks.Level `json:"worst"`
	EveryMs float64      `json:"every_ms,omitempty"`
	Latest  []Look       `json:"latest,omitempty"`
}

// A Look is what one item was found to be in the newest look of a hold.
type Look struct {
	At    time.Time    `json:"at"`
	Item  string       `json:"item"`
	Level checks.Level `json:"level"`
	Note  string       `json:"note,omitempty"`
}

// Of makes the report of a run.
func Of(run runbooks.Run, o Options) Report {
	r := Report{
		Run: run.ID, Site: run.Opened.Site, Runbook: run.Opened.Runbook, Section: run.Opened.Section, Title: run.Opened.Title,
		Period: run.Opened.Period, State: run.State, Level: run.Level(), Reason: run.Reason, Rehearsal: run.Opened.Rehearsal,
		Opened: run.OpenedAt, OpenedBy: personOf(run.OpenedBy), Driver: personOf(run.Driver),
		Document: run.Opened.Path, DocumentSHA: run.Opened.Hash.String(), Version: run.Opened.Version,
		Notes: remarksOf(run.Notes.List()), Exhibits: exhibitsOf(run.Exhibits), Signatures: remarksOf(run.Signatures),
		Aborting: remarkOf(run.Aborting), Window: remarkOf(run.Window), Absences: absencesOf(run.Absences.List()),
		Head: o.Head, HeadHash: o.HeadHash.String(), HeadWords: Words(o.HeadHash), Verified: o.Verified, MadeAt: o.Now, MadeBy: o.Version,
		BudgetMs: ms(o.Budget), Host: run.OpenedBy.Host, Due: instant(run.Opened.Due), Overdue: instant(run.Opened.Overdue), InWindow: o.InWindow,
	}
	if o.Estimates == nil {
		o.Estimates = usual(o.Earlier)
	}
	end := o.Now
	if !run.ClosedAt.IsZero() {
		r.Closed, end = &run.ClosedAt, run.ClosedAt
	}
	took := max(0, end.Sub(run.OpenedAt)) // the clock may have been set back
	r.TookMs = ms(took)
	if o.Budget > 0 {
		r.OverMs = ms(max(0, took-o.Budget))
	}
	for _, it := range run.Items {
		r.Items = append(r.Items, itemOf(it, o))
	}
	r.People = people(run)
	if o.Scrub != nil {
		r = scrubbed(r, o.Scrub)
	}
	r.RTOMs = recovery(run)
	for _, t := range trends(run, o.Earlier) {
		if o.Scrub != nil {
			t.Label = o.Scrub.Redact(t.Label)
		}
		r.Trends = append(r.Trends, t)
	}
	return r
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func itemOf(it runbooks.ItemRun, o Options) Item {
	out := Item{
		ID: it.ID, Title: it.Title, Group: it.Group, Kind: it.Kind, Module: it.Use, Danger: it.Danger, Guide: it.Guide, State: it.State,
		Choice: it.Choice, Late: it.Late.Len(), Skipped: remarkOf(it.Skip), Override: remarkOf(it.Override), Seen: remarkOf(it.Ack),
		Barred: remarksOf(it.Barred.List()), Notes: remarksOf(it.Notes.List()), Exhibits: exhibitsOf(it.Exhibits),
		Signatures: remarksOf(it.Signatures), EstimateMs: ms(o.Estimates[it.ID]),
	}
	for a := range it.Attempts.All() {
		out.Attempts = append(out.Attempts, attemptOf(a))
	}
	if a, ok := it.Latest(); ok {
		out.Note = noteOf(a)
	}
	return out
}

// noteOf is what came of an attempt, in one line.
func noteOf(a runbooks.Attempt) string {
	if a.Reason != "" {
		return a.Reason
	}
	if a.Result != nil {
		return cmp.Or(a.Result.Note, a.Result.Err)
	}
	return ""
}

func attemptOf(a runbooks.Attempt) Attempt {
	out := Attempt{N: a.N, By: personOf(a.Actor), Started: a.Started, State: a.State, Reason: a.Reason, Evidence: a.Evidence, Result: a.Result}
	if !a.Ended.IsZero() {
		out.Ended, out.TookMs = &a.Ended, ms(a.Took())
	}
	out.SHA = ResultHash(a.Result)
	if a.Hold != nil {
		out.Hold = holdOf(*a.Hold)
	}
	out.Action = actionOf(a)
	return out
}

// ResultHash is the sha256 of a result as JSON, in the form in which it is recorded.
func ResultHash(r *checks.Result) string {
	if r == nil {
		return ""
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func holdOf(w runbooks.Watch) *Hold {
	h := &Hold{Until: w.Until, Items: w.Items, Samples: w.Samples, Worst: w.Worst, EveryMs: ms(w.Every)}
	for _, r := range w.Latest {
		h.Latest = append(h.Latest, Look{At: r.At, Item: r.ID, Level: r.Level, Note: cmp.Or(r.Note, r.Err)})
	}
	return h
}

func actionOf(a runbooks.Attempt) *Action {
	if a.Armed == nil {
		return nil
	}
	p := a.Armed.Preview
	act := &Action{
		Target: p.Target, Fingerprint: p.Fingerprint, Danger: a.Armed.Danger, PreviewSHA: a.Armed.Hash.String(), Preview: p.Note,
		With: Asked(a.Armed.With), Shown: shownOf(p.Tables), Crash: a.Armed.Crash, Typed: a.Typed, Signatures: remarksOf(a.Signatures), Confirmed: remarkOf(a.Confirmed), Verify: a.Armed.Verify,
		Seen: a.Verified, SeenSHA: ResultHash(a.Verified), Resolved: remarkOf(a.Resolved),
	}
	act.ToldApart = toldApart(a)
	for _, d := range p.Detail {
		if text, ok := careful(d); ok {
			act.Careful = append(act.Careful, text)
		}
	}
	for _, g := range a.Armed.Gates {
		text := g.Item + " " + string(g.State)
		if g.Override != "" {
			text += ", overridden: " + g.Override
		}
		act.Gates = append(act.Gates, text)
	}
	if a.Intent != nil {
		act.Token = a.Intent.Token
	}
	if a.Process != nil {
		act.PID = a.Process.PID
	}
	if o := a.Outcome; o != nil {
		act.Cancelled, act.OutputBytes, act.OutputSHA, act.Tail, act.LeftBehind = o.Cancelled, o.Output, o.OutputHash.String(), o.Tail, o.Left
		act.Truncated = o.Truncated
	}
	return act
}

// toldApart names those who count as other people than who confirmed only by
// their user ids.
func toldApart(a runbooks.Attempt) string {
	if a.Confirmed == nil {
		return ""
	}
	var names []string
	for _, s := range a.Signatures {
		if runbooks.DifferByUser(s.Actor, a.Confirmed.Actor) {
			names = append(names, s.Actor.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("no login is set behind %s and %s: they count as different people by their user ids alone",
		a.Confirmed.Actor.Name, strings.Join(names, ", "))
}

func careful(line string) (string, bool) {
	const mark = "careful: "
	if len(line) > len(mark) && line[:len(mark)] == mark {
		return line[len(mark):], true
	}
	return "", false
}

// people are all who did or said something, each once, by name.
func people(run runbooks.Run) []Person {
	var all []Person
	add := func(a runbooks.Actor) {
		if p := personOf(a); a.Name != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	add(run.OpenedBy)
	add(run.Driver)
	said := func(one ...*runbooks.Remark) {
		for _, r := range one {
			if r != nil {
				add(r.Actor)
			}
		}
	}
	each := func(list []runbooks.Remark) {
		for i := range list {
			said(&list[i])
		}
	}
	said(run.Aborting, run.Window)
	each(run.Notes.List())
	each(run.Signatures)
	for _, it := range run.Items {
		for a := range it.Attempts.All() {
			add(a.Actor)
			said(a.Confirmed, a.Resolved)
			each(a.Signatures)
		}
		said(it.Skip, it.Override, it.Ack)
		each(it.Barred.List())
		each(it.Notes.List())
		each(it.Signatures)
	}
	slices.SortFunc(all, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Login, b.Login)) })
	return all
}

// recovery is the longest recovery time that an item measured, in milliseconds.
func recovery(run runbooks.Run) (longest float64) {
	for _, it := range run.Items {
		if r := it.Result(); r != nil {
			if f, ok := r.Fact("rto", ""); ok && f.Type == fact.Duration && finite(f.Num) {
				longest = max(longest, f.Num)
			}
		}
	}
	return longest
}
