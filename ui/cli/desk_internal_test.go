package cli

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/journal/journaltest"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// deskOver is a desk over a record of that many events in one run.
func deskOver(t *testing.T, events int) *desk {
	t.Helper()
	w := worldOfSite("lms")
	w.dir = t.TempDir()
	if err := journaltest.Fill(w.dir, "lms", 1, events); err != nil {
		t.Fatal(err)
	}
	book := runbooks.Runbook{ID: "long", Sections: []runbooks.Section{{ID: journaltest.Section}}}
	w.shelf = func() markdown.Shelf { return markdown.Shelf{Runbooks: []markdown.Loaded{{Runbook: book}}} }
	j, err := w.journal()
	if err != nil {
		t.Fatal(err)
	}
	return &desk{w: w, j: j, all: runbooks.Folder{Brief: true}, err: errReading}
}

// recordIn records one more event as another process would.
func recordIn(t *testing.T, dir string, p runbooks.Payload) {
	t.Helper()
	j, err := journal.Open(dir, journal.Holder{User: "another"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "ada"}, "long-00000", "", 0, p)
	if err == nil {
		_, err = j.Append(e)
	}
	if err == nil {
		err = j.Release()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// spoil changes an event that was recorded.
func spoil(t *testing.T, dir string, seq int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "journal.db"))
	if err == nil {
		_, err = db.Exec("UPDATE events SET body = replace(body, 'ada', 'eve') WHERE seq = ?", seq)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestALookReadsWhatIsNewOfTheRecord: what was read before is not read again,
// so that an event that was changed since is not noticed here.
func TestALookReadsWhatIsNewOfTheRecord(t *testing.T) {
	d := deskOver(t, 40)
	d.look()
	list, err := d.Sections()
	if err != nil || len(list) != 1 || list[0].Unfinished == nil {
		t.Fatalf("%+v: %v", list, err)
	}
	before := list[0].Unfinished.Last
	spoil(t, d.w.dir, 2)
	recordIn(t, d.w.dir, runbooks.Noted{Text: "here"})
	d.look()
	if list, err = d.Sections(); err != nil || !list[0].Unfinished.Last.After(before) || d.all.Seq() != 41 {
		t.Errorf("%+v, event %d: %v", list[0].Unfinished, d.all.Seq(), err)
	}
}

// TestARecordThatCannotBeReadOnIsReadFromItsStartTheNextTime: what is wrong is
// said, and no longer once it is not.
func TestARecordThatCannotBeReadOnIsReadFromItsStartTheNextTime(t *testing.T) {
	d := deskOver(t, 40)
	spoil(t, d.w.dir, 30)
	d.look()
	if _, err := d.Sections(); err == nil || !strings.Contains(err.Error(), "event 30 does not match its hash") {
		t.Errorf("%v", err)
	}
	d.look()
	if _, err := d.Sections(); err == nil {
		t.Error("the second look says nothing")
	}
	sound := deskOver(t, 40)
	d.w.dir, d.j = sound.w.dir, sound.j
	d.look()
	if list, err := d.Sections(); err != nil || list[0].Unfinished == nil {
		t.Errorf("%+v: %v", list, err)
	}
}
