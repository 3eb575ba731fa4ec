package markdown

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

func nothingToDo(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
	return checks.Findings{}, nil
}

// catalogue is a registry of two checks and one action.
func catalogue(t testing.TB) *checks.Registry {
	t.Helper()
	disk := &checks.Module{
		Name: "sys.disk", Doc: "Tells how full the disks are", Run: nothingToDo,
		Params: []checks.Param{{Name: "mounts", Type: checks.TextsParam, Doc: "which"}},
		Facts:  []fact.Spec{{Name: "used", Type: fact.Percent, Worse: fact.Higher, Label: "mount"}},
		Warn:   "used > 80%", Fail: "used > 90%", Source: "guide",
	}
	get := &checks.Module{
		Name: "http.get", Doc: "Fetches a page", Run: nothingToDo, Kind: "web",
		Params: []checks.Param{
			{Name: "url", Type: checks.TextParam, Required: true, Doc: "what to fetch"},
			{Name: "timeout", Type: checks.DurationParam, Default: "5s", Doc: "how long to wait"},
			{Name: "expect", Type: checks.MapParam, Doc: "what to find"},
		},
		Facts: []fact.Spec{{Name: "ok", Type: fact.Bool}, {Name: "total", Type: fact.Duration, Worse: fact.Higher}},
		Fail:  "ok == false", Source: "guide",
	}
	vacuum := &checks.Module{
		Name: "pg.vacuum", Doc: "Vacuums a table", Run: nothingToDo, Preview: nothingToDo, Probe: nothingToDo,
		Effect: checks.Reversible, Danger: 2,
		Facts: []fact.Spec{{Name: "dead", Type: fact.Count}},
	}
	registry, err := checks.NewRegistry(checks.Family{Name: "test", Modules: []*checks.Module{disk, get, vacuum}})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

const header = "---\nrunbook: ops\nschema: 1\n---\n"

func parsed(t *testing.T, source string) (runbooks.Runbook, []Diagnostic) {
	t.Helper()
	return Parse("ops.md", []byte(source), Options{Registry: catalogue(t), Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)})
}

func lines(list []Diagnostic) []string {
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = d.String()
	}
	return texts
}

const wellFormed = "---\nrunbook: ops\nschema: 1\nowner: oncall\nreview_by: 2027-03-01\ntimezone: Europe/Paris\n" +
	"vars: {host: lms.internal.test}\nx-team: core\nx-guide: [1]\n---\n" +
	`# Operations

What this is.

## Daily Tasks

` + "```yaml section\nid: daily\ncadence: daily\ndue: \"12:00\"\ngrace: 4h\nbudget: 30m\n```" + `

Do this in the morning.

### Disks

Why disks fill.

- [ ] Disks have room
` + "```yaml check\nid: disk\nuse: sys.disk\nwith: {mounts: [/, /var]}\nfail: used > 95%\nx-guide: [27, 28]\n```" + `

  If red: find what grew.

  ` + "```bash\n  df -h\n  ```" + `

- [ ] The site answers
  ` + "```yaml check\n  id: site\n  use: http.get\n  with:\n    url: https://${host}/health\n    expect: {status: 200, json: {$.ok: true}}\n  needs: [{disk: {max_age: 2h}}]\n  timeout: 20s\n  ```" + `
- [ ] The *api* answers
` + "```yaml check\nid: api\nservice: api\nwarn: total > 1s\n```" + `

### People

- [ ] Browser errors were looked at
` + "```yaml confirm\nid: browser\nevidence: {count: number, link: url, seen_at: time}\nwarn: count > 20 or seen_at_age > 1d\n```" + `
- [ ] Somebody read the backup's log

## Later

- [ ] Nothing yet
`

func TestAWellFormedDocumentBecomesARunbook(t *testing.T) {
	book, diagnostics := parsed(t, wellFormed)
	if len(diagnostics) > 0 {
		t.Fatal(strings.Join(lines(diagnostics), "\n"))
	}
	if book.ID != "ops" || book.Title != "Operations" || book.Owner != "oncall" || book.Zone.String() != "Europe/Paris" ||
		len(book.Sections) != 2 || book.Guide[0] != 1 || book.Hash.IsZero() {
		t.Errorf("got %+v", book)
	}
	daily := book.Sections[0]
	if daily.ID != "daily" || daily.Title != "Daily Tasks" || daily.Note != "Do this in the morning." || daily.Budget != 30*time.Minute ||
		daily.Plan.Cadence != schedule.Daily || daily.Plan.Grace != 4*time.Hour || daily.Plan.Due.Clock != 12*time.Hour {
		t.Errorf("section %+v", daily)
	}
	if diff := cmp.Diff([]runbooks.Group{
		{ID: "disks", Title: "Disks", Note: "Why disks fill.", Line: 27}, {ID: "people", Title: "People", Line: 63},
	}, daily.Groups); diff != "" {
		t.Error(diff)
	}
	if len(daily.Items) != 5 {
		t.Fatalf("%d items", len(daily.Items))
	}
	disk, site, api, browser, manual := daily.Items[0], daily.Items[1], daily.Items[2], daily.Items[3], daily.Items[4]
	if disk.ID != "disk" || disk.Note != "If red: find what grew." || !disk.Bound || disk.Check.Rules.Fail.Text != "used > 95%" ||
		disk.Check.Rules.Warn.Source != "guide" || disk.Guide[1] != 28 || disk.Line != 31 || disk.Col != 3 || disk.Group != "disks" ||
		disk.References[0].Lang != "bash" || disk.References[0].Text != "df -h\n" {
		t.Errorf("disk %+v", disk)
	}
	if site.Check.Args.Text("url") != "https://lms.internal.test/health" || site.Needs[0] != (runbooks.Need{Item: "disk", MaxAge: 2 * time.Hour}) ||
		site.Check.Args.Map("expect")["status"] != 200 || site.Timeout != 20*time.Second {
		t.Errorf("site %+v", site)
	}
	if api.Service != "api" || api.Bound || api.Title != "The api answers" {
		t.Errorf("api %+v", api)
	}
	if browser.Kind != runbooks.Confirm || len(browser.Evidence) != 3 || browser.Evidence[1].Type != runbooks.URLField {
		t.Errorf("browser %+v", browser)
	}
	if manual.Kind != runbooks.Manual || manual.ID != "daily-tasks/people/somebody-read-the-backup-s-log" {
		t.Errorf("manual %+v", manual)
	}
	if book.Sections[1].Items[0].ID != "later/nothing-yet" {
		t.Errorf("later %+v", book.Sections[1])
	}
}

func TestAWindowAndAFollowUpAreRead(t *testing.T) {
	book, diagnostics := parsed(t, `---
runbook: ops
schema: 1
timezone: Europe/Paris
window: {days: first sun, start: "02:00", length: 2h, notice: 7d, rollback_reserve: 25m}
---
# Window
`+"```yaml section\nid: window\ncadence: window\nrequires: [in_window]\nbudget: 95m\n```"+`
- [ ] Take the page down
`+"```yaml confirm\nid: maint-off\n```"+`
- [ ] A day later, all is quiet
`+"```yaml confirm\nid: quiet\nneeds: [{maint-off: {min_age: 24h}}]\n```\n")
	if len(diagnostics) > 0 {
		t.Fatal(strings.Join(lines(diagnostics), "\n"))
	}
	want, err := civil.ParseWindow("first sun", "02:00", 2*time.Hour, 7*24*time.Hour, 25*time.Minute, book.Zone)
	if err != nil {
		t.Fatal(err)
	}
	if book.Window == nil || *book.Window != want {
		t.Errorf("window %v, want %v", book.Window, want)
	}
	if got := book.Sections[0].Items[1].Needs; len(got) != 1 || got[0] != (runbooks.Need{Item: "maint-off", MinAge: 24 * time.Hour}) {
		t.Errorf("needs %+v", got)
	}
}

func TestParsingUnchangedBytesIsTheSame(t *testing.T) {
	a, _ := parsed(t, wellFormed)
	b, _ := parsed(t, strings.ReplaceAll(wellFormed, "\n", "\r\n"))
	if len(a.Sections[0].Items) != len(b.Sections[0].Items) {
		t.Fatal("line ends changed the number of items")
	}
	for i, it := range a.Sections[0].Items {
		other := b.Sections[0].Items[i]
		if it.ID != other.ID || it.Line != other.Line || it.Note != other.Note || it.Rules.Fail.Text != other.Rules.Fail.Text {
			t.Errorf("line ends changed item %s: %+v", it.ID, other)
		}
	}
}

func TestForeignFencesAreTextAndNeverItems(t *testing.T) {
	source := header + "# A\n\n- [ ] One\n\n```bash\n- [ ] rm -rf /\n```\n\n~~~yaml\nuse: sys.disk\n~~~\n\n```sql check\nDROP TABLE users;\n```\n\n    ```yaml check\n    id: indented\n    ```\n\n<!--\n```yaml check\nid: hidden\n```\n- [ ] hidden\n-->\n"
	book, diagnostics := parsed(t, source)
	if len(diagnostics) > 0 {
		t.Error(lines(diagnostics))
	}
	if items := book.Sections[0].Items; len(items) != 1 || items[0].Kind != runbooks.Manual || len(items[0].References) != 3 {
		t.Errorf("got %+v", items)
	}
}
