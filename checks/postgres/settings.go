package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// SettingsInForce looks at what the server runs under: what waits for a
// restart, what a restart would stumble over, and what endangers the data.
var SettingsInForce = module(checks.Module{
	Name: "pg.settings",
	Doc:  "Lists the settings that differ from the built-in ones, finds those that wait for a restart or endanger the data, and counts checksum failures",
	Facts: []fact.Spec{
		{Name: "pending_restart", Type: fact.Count, Unit: "settings", Worse: fact.Higher, Doc: "settings changed in a file that take effect at the next restart only"},
		{Name: "dangerous", Type: fact.Count, Unit: "settings", Worse: fact.Higher, Doc: "settings under which rows are lost in a crash, damage goes unseen or nothing is vacuumed"},
		{Name: "hints", Type: fact.Count, Unit: "settings", Doc: "settings under which the server does not say what an incident would need"},
		{Name: "checksum_failures", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "damaged pages found since the statistics were reset; absent where the cluster has no checksums"},
		{Name: "checksum_failure_age", Type: fact.Duration, Worse: fact.Lower, Optional: true, Doc: "time since the last one"},
		{Name: "extensions_behind", Type: fact.Count, Unit: "extensions", Worse: fact.Higher, Optional: true, Doc: "extensions of the database that are older than what the server has of them, as after an upgrade"},
		{Name: "file_errors", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "lines of the configuration files that the server would not take; absent where this role may not read them"},
	},
	Warn: "pending_restart > 0 or dangerous > 0 or file_errors > 0", Fail: "checksum_failures > 0", Source: "pgmonitor, check_pgactivity",
	Timeout: 6 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.settings",
	Run:     settingsInForce,
})

// A setting is one of pg_settings. The file is not known to a role without
// pg_read_all_settings.
type setting struct {
	Name, Value, Unit, Source, Boot, Reset string
	Pending                                bool
	File                                   *string
	Line                                   *int

	next string // its value in the file, if that is known and waits for a restart
	hint hint
}

const allSettingsSQL = `
SELECT name, coalesce(setting, ''), coalesce(unit, ''), source, coalesce(boot_val, ''), coalesce(reset_val, ''), pending_restart, sourcefile, sourceline
FROM pg_settings ORDER BY name`

// A fileLine is a line of a configuration file that is not in force.
type fileLine struct {
	Name, Value, File string
	Line              int
	Error             string
	Restart           bool // the setting is one that only a restart changes
}

// fileLinesSQL: a line that waits for a restart is listed as one that could not
// be applied, as is one that makes no sense. What the command line of the
// server says wins over the files.
const fileLinesSQL = `
SELECT coalesce(f.name, ''), coalesce(f.setting, ''), coalesce(f.sourcefile, ''), coalesce(f.sourceline, 0), f.error, coalesce(s.context = 'postmaster', false)
FROM pg_file_settings f LEFT JOIN pg_settings s ON s.name = f.name
WHERE f.error IS NOT NULL AND s.source IS DISTINCT FROM 'command line'
ORDER BY f.seqno`

type checksums struct {
	Enabled  bool
	Failures *float64
	Age      *float64 // seconds
}

const checksumsSQL = `
SELECT current_setting('data_checksums') = 'on', sum(checksum_failures)::float8, extract(epoch FROM clock_timestamp() - max(checksum_last_failure))::float8
FROM pg_stat_database`

func settingsInForce(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	found, err := many[setting](ctx, s, "pg.settings", allSettingsSQL)
	if err != nil {
		return f, err
	}
	var missing partial
	lines, why, err := part[fileLine](ctx, s, "configuration files", fileLinesSQL)
	if err != nil {
		return f, err
	}
	missing.miss("what the configuration files say is", why)
	if why == "" {
		f.Facts = append(f.Facts, fact.Number("file_errors", fileErrors(&f, found, lines)))
	}
	damage, why, err := part[checksums](ctx, s, "checksum failures", checksumsSQL)
	if err != nil {
		return f, err
	}
	missing.miss("whether pages are damaged is", why)
	for _, d := range damage {
		d.report(&f)
	}
	reportSettings(&f, found)
	if err := s.behind(ctx, &f, &missing); err != nil {
		return f, err
	}
	f.Detail = append(f.Detail, missing...)
	return f, nil
}

// extensionsSQL finds extensions that an upgrade of the server left behind.
const extensionsSQL = `
SELECT e.extname::text, e.extversion, a.default_version FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
WHERE a.default_version <> e.extversion ORDER BY 1`

// behind reports extensions that are older than what the server has of them.
func (s *Server) behind(ctx context.Context, f *checks.Findings, missing *partial) error {
	type old struct{ Name, Has, Could string }
	found, why, err := part[old](ctx, s, "versions of extensions", extensionsSQL)
	if err != nil {
		return err
	}
	if missing.miss("whether extensions are behind is", why); why != "" {
		return nil
	}
	f.Facts = append(f.Facts, fact.Number("extensions_behind", len(found)))
	for _, e := range found {
		f.Detail = append(f.Detail, fmt.Sprintf("extension %s is %s, the server has %s: ALTER EXTENSION %s UPDATE", word(e.Name).Text, word(e.Has).Text, word(e.Could).Text, word(e.Name).Text))
	}
	return nil
}

// fileErrors reports the lines that are wrong, and gives each setting that
// waits for a restart its new value: it does so also before the file is reloaded.
func fileErrors(f *checks.Findings, found []setting, lines []fileLine) int {
	wrong := 0
	for _, l := range lines {
		i := slices.IndexFunc(found, func(s setting) bool { return s.Name == l.Name })
		if i >= 0 && l.Restart {
			found[i].Pending, found[i].next = true, l.Value
			continue
		}
		wrong++
		f.Detail = append(f.Detail, fmt.Sprintf("%s:%d: %s: %s", l.File, l.Line, l.Name, l.Error))
	}
	return wrong
}

func (c checksums) report(f *checks.Findings) {
	if !c.Enabled || c.Failures == nil {
		f.Detail = append(f.Detail, "the cluster has no data checksums: damaged pages are not noticed")
		return
	}
	f.Facts = append(f.Facts, fact.Number("checksum_failures", *c.Failures))
	if c.Age != nil {
		f.Facts = append(f.Facts, fact.Dur("checksum_failure_age", seconds(*c.Age)))
		f.Detail = append(f.Detail, "the last damaged page was found "+fact.FormatDuration(seconds(*c.Age))+" ago: see pg_stat_database.checksum_last_failure and the server's log")
	}
}

// notOfTheServer are the sources of built-in values and of what this session
// has set itself.
var notOfTheServer = []string{"default", "override", "client", "session", "interactive"}

func reportSettings(f *checks.Findings, found []setting) {
	pending, dangerous, hints := 0, 0, 0
	for i, s := range found {
		found[i].hint = hintFor(s)
		pending += boolean(s.Pending)
		switch h := found[i].hint; {
		case h.why == "":
		case h.dangerous:
			dangerous++
			f.Detail = append(f.Detail, fmt.Sprintf("%s = %s: %s", s.Name, s.Value, h.why))
		default:
			hints++
		}
	}
	found = slices.DeleteFunc(found, func(s setting) bool {
		return !s.Pending && s.hint.why == "" && slices.Contains(notOfTheServer, s.Source)
	})
	slices.SortStableFunc(found, func(a, b setting) int {
		return cmp.Or(cmp.Compare(boolean(b.Pending), boolean(a.Pending)), cmp.Compare(boolean(b.hint.dangerous), boolean(a.hint.dangerous)),
			cmp.Compare(boolean(b.hint.why != ""), boolean(a.hint.why != "")))
	})
	for _, s := range found[:pending] {
		f.Detail = append(f.Detail, fmt.Sprintf("%s is %s until the next restart%s", s.Name, withoutPasswords(s.Name, s.Value), s.then()))
	}
	f.Note = fmt.Sprintf("%d wait for a restart, %d dangerous", pending, dangerous)
	f.Facts = append(f.Facts, fact.Number("pending_restart", pending), fact.Number("dangerous", dangerous), fact.Number("hints", hints))
	f.Tables = []checks.Table{settingsTable(found)}
}

func (s setting) then() string {
	if s.next == "" {
		return ""
	}
	return ", then " + withoutPasswords(s.Name, s.next)
}

func settingsTable(found []setting) checks.Table {
	t := checks.Table{Name: "settings", Columns: []checks.Column{
		{Name: "setting", Type: fact.Text}, {Name: "value", Type: fact.Text}, {Name: "unit", Type: fact.Text}, {Name: "pending", Type: fact.Bool}, {Name: "next", Type: fact.Text},
		{Name: "boot", Type: fact.Text}, {Name: "reset", Type: fact.Text}, {Name: "source", Type: fact.Text}, {Name: "file", Type: fact.Text}, {Name: "hint", Type: fact.Text},
	}}
	for _, s := range found {
		file := ""
		switch {
		case s.File != nil && s.Line != nil:
			file = fmt.Sprintf("%s:%d", *s.File, *s.Line)
		case s.Source == "configuration file":
			file = "unknown: needs pg_read_all_settings"
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(s.Name), word(withoutPasswords(s.Name, s.Value)), fact.WordValue(s.Unit), fact.FlagValue(s.Pending), word(withoutPasswords(s.Name, s.next)),
			word(withoutPasswords(s.Name, s.Boot)), word(withoutPasswords(s.Name, s.Reset)), fact.WordValue(s.Source), word(file), fact.WordValue(s.hint.why),
		})
	}
	return t
}

// withoutPasswords: a standby's connection string and some commands hold one.
func withoutPasswords(name, value string) string {
	if value != "" && (strings.HasSuffix(name, "conninfo") || strings.HasSuffix(name, "_command") || strings.Contains(name, "passphrase")) && strings.Contains(strings.ToLower(value), "pass") {
		return "[redacted]"
	}
	return value
}
