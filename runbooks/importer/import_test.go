package importer_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/importer"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

func guide(t testing.TB) importer.Guide {
	t.Helper()
	raw, err := os.ReadFile("testdata/maintenance-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	g, err := importer.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestEverySectionIsFoundThoseThatTheContentsListOmitsToo(t *testing.T) {
	g := guide(t)
	var names, unlisted []string
	for _, s := range g.Sections {
		names = append(names, s.Title)
		if !s.Listed {
			unlisted = append(unlisted, s.Title)
		}
	}
	want := []string{
		"Daily Tasks", "Weekly Tasks", "Monthly Tasks", "Quarterly Tasks", "Database Maintenance", "Security Updates", "Backup Verification",
		"Performance Monitoring", "Log Management", "Certificate Renewal", "Dependency Updates", "Scaling Considerations",
		"Maintenance Windows", "Monitoring Dashboard", "Additional Resources",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[12:], unlisted); diff != "" || len(g.Of(importer.Unlisted)) != 3 {
		t.Error(diff)
	}
	for i, cadence := range []string{"daily", "weekly", "monthly", "quarterly", "none"} {
		if g.Sections[i].Cadence != cadence {
			t.Errorf("%s is %s", g.Sections[i].Title, g.Sections[i].Cadence)
		}
	}
	if n := g.Tasks(); n < 230 || n > 267 {
		t.Errorf("%d tasks; a person counts 267 rows, those of the document itself included", n)
	}
}

func TestTasksAreWhatAPersonWouldCallThem(t *testing.T) {
	tasks := map[int]importer.Task{}
	for _, s := range guide(t).Sections {
		for _, group := range s.Groups {
			for _, task := range group.Tasks {
				tasks[task.Line] = task
			}
		}
	}
	for line, want := range map[int]struct{ title, suggest string }{
		42:  {"Count errors in last hour", "log.count"},
		47:  {"Check application metrics: Error rates", ""},
		105: {"Alert if disk usage > 80%", "sys.disk"},
		199: {"Restore latest backup", "pg.restore_test"},
		480: {},
		487: {"Test critical functionality: User login", ""},
		580: {"Create /usr/local/bin/db-maintenance.sh", "pg.vacuum"},
		728: {"Response Time: API endpoints (p50, p95, p99)", "http.latency"},
		961: {"Enable maintenance mode", "maint.enable"},
	} {
		if got := tasks[line]; got.Title != want.title || got.Suggest != want.suggest {
			t.Errorf("line %d: %q [%s], want %q [%s]", line, got.Title, got.Suggest, want.title, want.suggest)
		}
	}
	if got := tasks[105]; got.End != 109 || !strings.HasPrefix(got.Commands, "DISK_USAGE=") {
		t.Errorf("%+v", got)
	}
}

// TestRepeatedFactsAndContradictionsAreNamed: the thirteen facts that the guide
// states more than once, and where it contradicts itself.
func TestRepeatedFactsAndContradictionsAreNamed(t *testing.T) {
	g := guide(t)
	has := func(code, about string, lines ...string) {
		t.Helper()
		i := slices.IndexFunc(g.Of(code), func(f importer.Finding) bool { return strings.HasPrefix(f.Text, about) })
		if i < 0 {
			t.Errorf("%s: nothing about %q", code, about)
			return
		}
		for _, l := range lines {
			if text := g.Of(code)[i].Text; !strings.Contains(text, "line "+l) {
				t.Errorf("%s about %q does not name line %s: %s", code, about, l, text)
			}
		}
	}
	for about, lines := range map[string][]string{
		"how full a disk may be":                     {"105", "897"},
		"how long a certificate may still hold":      {"289", "839"},
		"renewal of certificates":                    {"293", "819"},
		"where backups are and what they are called": {"137", "200", "476", "681"},
		"the test that a backup restores":            {"197", "475", "687"},
		"VACUUM and ANALYZE":                         {"339", "368", "589", "953"},
		"REINDEX":                                    {"361", "954"},
		"how often dependencies are reviewed":        {"307", "645", "857"},
		"how soon a vulnerability is repaired":       {"622", "628"},
		"how long ahead users are told":              {"949", "959"},
		"when jobs and windows run":                  {"614", "720", "948"},
		"how long logs are kept":                     {"245", "792"},
		"how busy CPU and memory may be":             {"742", "893", "996"},
		"how long to watch after a change":           {"667", "860"},
	} {
		has(importer.Repeated, about, lines...)
	}
	for about, lines := range map[string][]string{
		"where backups are":                   {"137", "200", "476", "681"},
		"how often dependencies are reviewed": {"307", "857"}, // monthly and weekly
		"how soon a vulnerability":            {"622", "628"}, // immediately and in 48 hours
		"when jobs and windows run":           {"614", "720", "948"},
		"how long logs are kept":              {"245", "792"},
		"how long to watch after a change":    {"667", "860"},
	} {
		has(importer.Contradiction, about, lines...)
	}
	for _, f := range g.Of(importer.Contradiction) {
		if strings.HasPrefix(f.Text, "how long ahead users are told") || strings.HasPrefix(f.Text, "how full") {
			t.Errorf("the guide does not contradict itself there: %s", f.Text)
		}
	}
}

func TestWhatTheOwnerHasToRepairIsNamed(t *testing.T) {
	g := guide(t)
	if found := g.Of(importer.Misdecoded); len(found) != 1 || found[0].Line != 1010 {
		t.Errorf("%v", found)
	}
	var lines []int
	for _, f := range g.Of(importer.NoLanguage) {
		lines = append(lines, f.Line)
	}
	if diff := cmp.Diff([]int{390, 789, 902}, lines); diff != "" {
		t.Errorf("fences: %s", diff)
	}
	placeholders := map[int]bool{}
	for _, f := range g.Of(importer.Placeholder) {
		placeholders[f.Line] = true
	}
	for _, line := range []int{30, 313, 392, 558, 849} {
		if !placeholders[line] {
			t.Errorf("line %d has a placeholder", line)
		}
	}
	if n := len(g.Of(importer.Threshold)); n < 30 {
		t.Errorf("%d thresholds", n)
	}
}

// parsed reads the runbook that was made.
func parsed(t testing.TB, source []byte) (runbooks.Runbook, []markdown.Diagnostic) {
	t.Helper()
	registry, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	return markdown.Parse("imported.md", source, markdown.Options{Registry: registry})
}

func TestTheRunbookIsOneAndItsPlaceholdersAreErrors(t *testing.T) {
	g := guide(t)
	book, problems := parsed(t, g.Markdown("imported", "maintenance-guide.md"))
	placeholders := 0
	for _, p := range problems {
		if strings.Contains(p.String(), "placeholder") {
			placeholders++
		} else if !strings.Contains(p.String(), " warning ") {
			t.Error(p)
		}
	}
	if placeholders < 8 {
		t.Errorf("%d placeholders are errors", placeholders)
	}
	items := 0
	for _, s := range book.Sections {
		items += len(s.Items)
		for _, it := range s.Items {
			if it.Kind != runbooks.Manual {
				t.Errorf("%s is a %s: an importer decides nothing", it.ID, it.Kind)
			}
		}
	}
	if items != g.Tasks() || len(book.Sections) != len(g.Sections) {
		t.Errorf("%d items of %d tasks, %d of %d sections", items, g.Tasks(), len(book.Sections), len(g.Sections))
	}
}

func TestADocumentThatIsNoGuideIsNoFault(t *testing.T) {
	for _, source := range []string{"", "\x00\xff", "no headings", "# Title only", "## A\n```bash\nnever closed", "## A\n- [ ] x\r\n", strings.Repeat("## A\n- b\n", 1000)} {
		g, err := importer.Import([]byte(source))
		if err != nil {
			t.Errorf("%.20q: %v", source, err)
		}
		parsed(t, g.Markdown("x", "x.md"))
	}
	if _, err := importer.Import(make([]byte, 2<<20)); err == nil {
		t.Error("two mebibytes were taken")
	}
}

// FuzzImport: whatever the document, what comes out is a runbook of manual
// items, and nothing of it is executable.
func FuzzImport(f *testing.F) {
	f.Add("# G\n## Daily\n### A\n**B:**\n```bash\n# C\nls\n# - d\n```\n- [ ] e\n")
	f.Add("## X\n```yaml check\nid: a\nuse: sys.disk\n```\n")
	f.Add("## X\n- [ ] a\n````\n```yaml action\nuse: x\n```\n````\n")
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 4096 {
			return
		}
		g, err := importer.Import([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		book, _ := parsed(t, g.Markdown("x", "x.md"))
		for _, s := range book.Sections {
			for _, it := range s.Items {
				if it.Kind != runbooks.Manual {
					t.Errorf("%s is a %s", it.ID, it.Kind)
				}
			}
		}
	})
}
