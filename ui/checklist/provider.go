// Package checklist is the runbook pane: what is due, and one run at a time,
// driven item by item.
//
// It knows runbooks and their sessions, and nothing of journals, files or
// modules: those come through a Provider, and whatever takes time happens in a
// command. It records nothing itself; every key ends in a method of
// runbooks.Session, and a refusal is shown in the session's own words.
//
// Read provider.go for what it needs, then pane.go, then sections.go and
// run.go for the two things it shows.
package checklist

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// A Provider is what the pane is given: the sections of all runbooks, and the
// sessions that walk through them. Its methods are called from any goroutine.
type Provider interface {
	// Sections is every section of every runbook, in the order of the library,
	// as far as is known now. It is called for every snapshot, so it answers
	// from memory; whoever provides it keeps that fresh. The error says why the
	// list is not complete.
	Sections() ([]SectionInfo, error)

	// Open joins the unfinished run of a section, or prepares a new one in
	// which nothing is recorded yet. It may take its time, within ctx. The
	// session belongs to the pane from then on, which closes it when it opens
	// another; sessions that are open at the end are closed by the provider.
	Open(ctx context.Context, id string) (runbooks.Session, error)

	// OpenAdHoc joins or prepares the run of one action that a pane proposed.
	OpenAdHoc(ctx context.Context, a runbooks.AdHoc) (runbooks.Session, error)
}

// SectionInfo is a section and how it stands. Due and overdue are computed
// from Plan and Last while drawing, so they cannot be out of date.
type SectionInfo struct {
	ID      string // unique, and what Open takes: "daily/daily"
	Runbook string // its document: "daily"
	Title   string // "Daily"
	Items   int

	Plan    schedule.Plan // with a zone
	Last    time.Time     // when the run that last completed it was opened; zero: never
	LastBy  string
	LastRun string
	LastBad int    // items of that run that failed or could not be found out
	Problem string // why it cannot be opened: its document has errors; "" if it can

	Unfinished *Unfinished // nil: no run of it is open
}

// Unfinished is a run that was begun and not ended.
type Unfinished struct {
	Run            string
	Driver         string
	Decided, Total int
	Last           time.Time // when something was last recorded in it
}
