package markdown

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// each wrong document has its diagnostics, one a line, after the front matter
// of four lines unless it brings its own.
var wrong = []struct{ name, source, want string }{
	{"no front matter", "# A\n\n- [ ] x\n", `1:1 error no-front-matter the document has no front matter (begin with ---, runbook: id, schema: 1, ---)`},
	{"front matter", "---\nrunbok: ops\nschema: 2\ntimezone: Mars/Base\nreview_by: soon\n---\n- [ ] x\n", `
2:1 error no-id the front matter names no runbook (write runbook: name)
2:1 error unknown-key the front matter has no key "runbok" (did you mean "runbook"?)
3:1 error schema schema is "2", this version reads 1 (write schema: 1)
4:11 error wrong-type timezone: there is no zone "Mars/Base" (write Europe/Paris)
5:12 error wrong-type review_by: "soon" is not a day (write 2027-03-01)`},
	{"review", "---\nrunbook: ops\nschema: 1\nreview_by: 2026-01-01\n---\n- [ ] x\n",
		`4:12 warning review-overdue the runbook was to be reviewed by 2026-01-01 (read it through and move the date)`},
	{"unknown key", "- [ ] x\n```yaml check\nid: a\nuse: sys.disk\nfial: used > 90%\nx-mine: kept\n```\n",
		`9:1 error unknown-key a check block has no key "fial" (did you mean "fail"?)`},
	{"duplicate key", "- [ ] x\n```yaml check\nid: a\nuse: sys.disk\nuse: http.get\n```\n",
		`9:1 error duplicate-key "use" is given twice (first in line 8)`},
	{"wrong types", "- [ ] x\n```yaml check\nid: [a]\nuse: sys.disk\ntimeout: 30\nwith: here\n```\n", `
7:5 error wrong-type id is a list, expected a value
9:10 error wrong-type timeout: "30" is not a duration (write 30s, 15m, 26h or 7d)
10:7 error wrong-type with is a value, expected a map`},
	{"indented block", "- [ ] x\n  ```yaml check\n  id: a\n  use: sys.disk\n  warm: used > 1%\n  ```\n",
		`9:3 error unknown-key a check block has no key "warm" (did you mean "warn"?)`},
	{"unknown module", "- [ ] x\n```yaml check\nid: a\nuse: sys.dsk\n```\n",
		`8:6 error unknown-module there is no module "sys.dsk" (did you mean "sys.disk"?)`},
	{"parameters", "- [ ] x\n```yaml check\nid: a\nuse: http.get\nwith:\n  timeout: soon\n  ulr: http://lms.internal.test\n```\n", `
9:1 error parameter http.get needs "url" (what to fetch)
10:3 error parameter "soon" is not a duration (write 30s, 15m, 26h or 7d)
11:3 error parameter http.get has no parameter "ulr" (did you mean "url"?)`},
	{"rules", "- [ ] x\n```yaml check\nid: a\nuse: sys.disk\nwarn: usd > 80%\nfail: \"used > 90\"\n```\n", `
9:7 error rule warn: there is no fact "usd" (did you mean "used"?)
10:8 error rule fail: used is a percent, found 90 (write a percentage: 80%)`},
	{"vacuous rule", "- [ ] x\n```yaml check\nid: a\nuse: sys.disk\nfail: used > 90% and used < 10%\n```\n",
		`9:22 error rule fail: this can never be true: used > 90% and used < 10% (a rule that cannot fail is no check)`},
	{"rule of a service", "- [ ] x\n```yaml check\nid: a\nservice: api\nfail: ok is false\n```\n",
		`9:10 error rule fail: found "is", expected an operator after "ok" (one of > >= < <= == !=)`},
	{"rule of evidence", "- [ ] x\n```yaml confirm\nid: a\nevidence: {count: numbr}\nwarn: cuont > 3\n```\n", `
8:19 error wrong-type count: "numbr" is not one of time, url, text, number, bool (did you mean "number"?)
9:7 error rule warn: there is no fact "cuont" (none is declared)`},
	{"mutating check", "- [ ] x\n```yaml check\nid: a\nuse: pg.vacuum\n```\n",
		`8:6 error check-mutates pg.vacuum changes the system (reversible) and is no check (write yaml action)`},
	{"careless action", "- [ ] x\n```yaml action\nid: a\nuse: pg.vacuum\ndanger: 1\n```\n", `
8:6 warning no-gate a has danger 2 and needs nothing before it (write needs: [the-backup])
8:6 warning no-timeout a changes the system and has no timeout (write timeout: 15m)
9:9 error danger-lowered pg.vacuum has danger 2 at least; a runbook may only raise it`},
	{"no post-check", "- [ ] x\n```yaml action\nid: a\nuse: pg.vacuum\ntimeout: 1m\nneeds: [b]\nverify: dead >= 0\n```\n- [ ] y\n```yaml confirm\nid: b\n```\n",
		`11:9 error rule verify: this is always true: dead >= 0`},
	{"no module", "- [ ] x\n```yaml check\nid: a\n```\n- [ ]\n", `
7:1 error no-module a does not say what it uses (write use: family.subject)
9:3 error no-title the item has no title`},
	{"no undo", "- [ ] x\n```yaml action\nid: a\nuse: pg.vacuum\ndanger: 3\ntimeout: 1m\nverify: dead == 0\nneeds: [b]\n```\n- [ ] y\n```yaml confirm\nid: b\n```\n",
		`8:6 warning no-undo a has danger 3 and no way back (write undo: item, or undo: none)`},
	{"reading action", "- [ ] x\n```yaml action\nid: a\nuse: sys.disk\n```\n",
		`8:6 error action-reads sys.disk changes nothing and is no action (write yaml check)`},
	{"ids", "- [ ] x\n```yaml check\nuse: sys.disk\n```\n- [ ] y\n```yaml check\nid: B C\nuse: sys.disk\n```\n- [ ] z\n```yaml check\nid: d\nuse: sys.disk\n```\n- [ ] z\n```yaml check\nid: d\nuse: sys.disk\nwas: d\n```\n", `
7:1 error no-id the block has no id (a title may change, history hangs on the id)
11:5 error bad-id "B C" is not an id: lower-case words joined by - or _ (write disk-root)
21:1 error duplicate-id the id "d" is used twice (first in line 14)
23:6 error duplicate-id was: "d" is still the id of the item in line 14`},
	{"second block", "- [ ] x\n```yaml check\nid: a\nuse: sys.disk\n```\n```yaml confirm\nid: b\n```\n",
		`10:1 error second-block the item "x" has a block already (write another - [ ] item for it)`},
	{"no item", "# A\n```yaml check\nid: a\nuse: sys.disk\n```\n- [ ] x\n# B\n```yaml confirm\nid: b\n```\n", `
6:1 error no-item no item stands above this block under its heading (write - [ ] title above it)
12:1 error no-item no item stands above this block under its heading (write - [ ] title above it)`},
	{"near kind", "- [ ] x\n```yaml chekc\nid: a\n```\n",
		`6:1 warning unknown-block a fence "yaml chekc" is text and is never run (did you mean "check"?)`},
	{"needs", "- [ ] x\n```yaml confirm\nid: aaa\nneeds: [bbb, {ccc: {max_agee: 2h}}, nope]\n```\n- [ ] y\n```yaml confirm\nid: bbb\nneeds: [aaa]\n```\n- [ ] z\n```yaml confirm\nid: ccc\nneeds: [ccc]\n```\n", `
8:21 error unknown-key a need has no key "max_agee" (did you mean "max_age"?)
8:37 error unknown-need there is no item "nope" (one of aaa, bbb, ccc)
13:9 error cycle bbb needs aaa, which needs it in turn
18:9 error cycle ccc needs itself`},
	{"need elsewhere", "# A\n- [ ] x\n```yaml confirm\nid: a\n```\n# B\n- [ ] y\n```yaml confirm\nid: b\nneeds: [a]\n```\n",
		`14:9 error unknown-need "a" stands in another section (a run walks one section)`},
	{"secrets", "- [ ] x\n```yaml check\nid: a\nuse: http.get\nwith: {url: \"https://ada:lovelace@lms.internal.test/\", expect: {token: abc, password: \"${secret:x}\"}}\n```\n", `
9:13 error secret url holds a secret in plain text (keep it in the site file as ${env:NAME} or ${file:PATH})
9:65 error secret a check's parameters are recorded and cannot hold ${secret:x} (name a connection of the site file)
9:72 error secret token holds a secret in plain text (keep it in the site file as ${env:NAME} or ${file:PATH})`},
	{"placeholder", "- [ ] x\n```yaml check\nid: a\nuse: http.get\nwith: {url: \"https://yourdomain.com/health\"}\n```\n",
		`9:13 error placeholder url holds the placeholder "yourdomain" (put the real value there)`},
	{"variables", "- [ ] x\n```yaml check\nid: a\nuse: http.get\nneeds: [d]\nwith: {url: \"${b.ok}/${site_var}/${run.id}/${d.usde}\"}\n```\n- [ ] y\n```yaml check\nid: d\nuse: sys.disk\n```\n", `
10:13 error variable ${b.ok} is a fact of an item that a does not need (write needs: [b])
10:13 error variable sys.disk has no fact "usde"`},
	{"yaml subset", "- [ ] x\n```yaml check\nid: &anchor a\nuse: sys.disk\nwith: !!map {}\n```\n", `
7:1 error no-id the block has no id (a title may change, history hangs on the id)
7:5 error yaml-subset anchors, aliases and merges are not allowed (write the value out)
9:7 error yaml-subset tags and directives are not allowed (the module knows the type)`},
	{"broken yaml", "- [ ] x\n```yaml check\nid: a\nuse: [sys.disk\n```\n",
		`8:6 error yaml sequence end token ']' not found`},
	{"two documents", "- [ ] x\n```yaml check\nid: a\n---\nuse: sys.disk\n```\n",
		`7:1 error yaml the block holds 2 YAML documents, expected one`},
	{"sections", "# Weekly review\n```yaml section\nid: w\ncadence: daily\ndue: sun 12:00\ngrace: 3d\nmode: fast\n```\n- [ ] x\n```yaml section\nid: v\n```\n", `
8:10 warning cadence the heading says weekly, the block says "daily"
9:6 error cadence "sun 12:00" is not a due time of a daily section (write 12:00)
10:8 error cadence a grace of 72h0m0s is longer than a daily period
11:7 error wrong-type mode: "fast" is not one of do-confirm, read-do (one of do-confirm, read-do)
14:1 error misplaced a section block stands below an item (move it under the heading)`},
	{"budget", "---\nrunbook: ops\nschema: 1\nwindow: {days: first sun, start: \"02:00\", length: 2h}\n---\n# A\n```yaml section\nid: w\ncadence: window\nbudget: 3h\n```\n- [ ] x\n",
		`10:9 error budget-over-window the budget of 3 h is longer than the window of 2 h`},
	{"reserve", "---\nrunbook: ops\nschema: 1\nwindow: {days: first sun, start: \"02:00\", length: 2h, notice: 7d, rollback_reserve: 25m}\n---\n# A\n```yaml section\nid: w\nrequires: [in_window]\nbudget: 100m\n```\n- [ ] x\n",
		`10:9 warning budget-over-window the budget of 1 h 40 m does not leave the rollback reserve: the window of 2 h has 1 h 35 m without it (shorten one of them)`},
	{"no window", "# A\n```yaml section\nid: w\nrequires: [in_window]\nbudget: 100m\n```\n- [ ] x\n",
		`8:11 warning no-window the section begins in the window only, and none is declared (write window: {days: first sun, start: "02:00", length: 2h} in the front matter)`},
	{"window", "---\nrunbook: ops\nschema: 1\nwindow: {days: first snu, start: \"2:0\", length: 2 hours, notise: 7d}\n---\n- [ ] x\n", `
4:16 error wrong-type window: "snu" is not a weekday, did you mean "sun"?
4:34 error wrong-type window: "2:0" is not a time of day (write 12:00)
4:49 error wrong-type length: "2 hours" is not a duration (write 30s, 15m, 26h or 7d)
4:58 error unknown-key window has no key "notise" (did you mean "notice"?)`},
	{"window's lengths", "---\nrunbook: ops\nschema: 1\nwindow:\n  days: daily\n  start: \"02:00\"\n  length: 2h\n  rollback_reserve: 3h\n---\n- [ ] x\n",
		`8:21 error wrong-type window: rollback_reserve: 3 h leaves nothing of a window of 2 h`},
	{"window without start", "---\nrunbook: ops\nschema: 1\nwindow: {days: daily, length: 2h}\n---\n- [ ] x\n",
		`4:1 error wrong-type the window has no start (write {days: first sun, start: "02:00", length: 2h})`},
	{"ages", "- [ ] x\n```yaml confirm\nid: aaa\nneeds: [{bbb: {max_age: 2h, min_age: 24h}}]\n```\n- [ ] y\n```yaml confirm\nid: bbb\n```\n",
		`8:38 error wrong-type a min_age of 24 h and a max_age of 2 h leave no time`},
	{"ticked", "- [x] x\n", `5:3 warning ticked the box of "x" is ticked (state lives in runs, never in the document)`},
	{"links", "# A head\n\nSee [this](#a-head) and [that](#b) and [web](https://lms.internal.test).\n\n- [ ] x\n",
		`7:1 warning broken-link no heading has the anchor #b`},
	{"nothing", "# Just prose\n", `1:1 warning no-items the document has no items (an item is a line - [ ] title)`},
	{"decide and hold", "- [ ] x\n```yaml decide\nid: a\noptions: {go: b}\n```\n- [ ] y\n```yaml hold\nid: c\nuse: hold.timre\nsample: {every: 5m, items: [a, z]}\n```\n", `
8:1 error no-choice a has fewer than two options (one option is not a decision)
8:11 error unknown-item there is no item "b" (did you mean "a"?)
12:1 error wrong-type c does not say how long to wait (write for: 60m)
13:1 error unknown-module a hold cannot use hold.timre (write hold.timer)
14:10 error unknown-item there is no item "z" (did you mean "a"?)`},
	{"too large", strings.Repeat("a\n", maxSize/2), `1:1 error too-large the document has 1048607 bytes, more than 1048576 (split it)`},
	{"too many", strings.Repeat("- [ ] x\n", maxItems+1), `1:1 error too-many the document has 2001 items, more than 2000 (split it)`},
	{"too many links", "- [ ] x\n" + strings.Repeat("[a](b)\n", maxLinks+1), `1:1 error too-many the document has 5001 links, more than 5000`},
	{"not text", "a\nb\x00c\n", `6:2 error not-text the document is not UTF-8 text`},
	{"too deep", "> > > > > > > > > > > > > > > > > deep\n", `5:1 error too-deep 17 levels of quotation, more than 16`},
}

func TestEveryFaultIsReportedAtItsPlace(t *testing.T) {
	for _, w := range wrong {
		t.Run(w.name, func(t *testing.T) {
			source := w.source
			if !strings.HasPrefix(source, "---") && w.name != "no front matter" {
				source = header + source
			}
			_, diagnostics := parsed(t, source)
			var got []string
			for _, d := range diagnostics {
				got = append(got, strings.TrimPrefix(d.String(), "ops.md:"))
			}
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(w.want), "\n"), got); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}
