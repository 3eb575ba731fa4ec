package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Runtime holds the Node.js of this host against its line's support and
// against the newest release of its line.
var Runtime = module(checks.Module{
	Name: "runtime.version",
	Doc: "Whether the Node.js of this host is still supported, and for how long a newer release of its line has been out. " +
		"The end of a line is from a table in this build, the newest release from the npm registry of the host, whose package node has each release; " +
		"without an answer from there it is unknown. What runs in a container is updated with its image",
	Params: []checks.Param{
		{Name: "program", Type: checks.TextParam, Default: "node", Check: checkProgram, Doc: "the runtime: a name in the system's folders, or an absolute path", Example: "/opt/node/bin/node"},
		{Name: "project", Type: checks.TextParam, Names: "projects", Doc: "project of the site file whose registry is asked; without it the host's own", Example: "backend"},
		{Name: "ends", Type: checks.MapParam, Check: checkEnds, Doc: "end of support of lines that this build does not know, or knows wrongly", Example: `{"28": "2030-04-30"}`},
	},
	Facts: []fact.Spec{
		{Name: "version", Type: fact.Text, Optional: true, Doc: "of the runtime, by its own word"},
		{Name: "line", Type: fact.Count, Optional: true, Growth: true, Doc: "its major version"},
		{Name: "supported", Type: fact.Bool, Worse: fact.Lower, Doc: "its line still gets security updates"},
		{Name: "support_left", Type: fact.Duration, Worse: fact.Lower, Optional: true, Doc: "time until it gets none any more; 0 if it gets none now"},
		{Name: "newest", Type: fact.Text, Optional: true, Doc: "newest release of its line"},
		{Name: "behind", Type: fact.Count, Label: "version", Growth: true, Optional: true, Doc: "1 while a newer release of the line is out; its history is what first seen is read from"},
		{Name: "behind_for", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the first newer release was published, by the registry, or since it was first seen here if the registry does not say; absent if there is none"},
	},
	Warn: "behind_for > 48h or support_left < 60d", Fail: "supported == false", Source: "guide (48 hours); proposed",
	Timeout: time.Minute, Every: 6 * time.Hour,
	Example: "use: runtime.version",
	Run:     runtimeVersion,
})

// lines are the ends of support that the Node.js project has announced, by
// major version, as of its schedule of 2026.
var lines = map[int]string{
	10: "2021-04-30", 11: "2019-06-01", 12: "2022-04-30", 13: "2020-06-01", 14: "2023-04-30", 15: "2021-06-01", 16: "2023-09-11", 17: "2022-06-01", 18: "2025-04-30",
	19: "2023-06-01", 20: "2026-04-30", 21: "2024-06-01", 22: "2027-04-30", 23: "2025-06-01", 24: "2028-04-30", 25: "2026-06-01", 26: "2029-04-30",
}

// oldestLine: what is older than the table is long past its end.
const oldestLine = 10

func checkProgram(value any) error {
	name := value.(string)
	if base := filepath.Base(name); base != "node" && base != "nodejs" || name != base && !filepath.IsAbs(name) {
		return fmt.Errorf("%q is not node, nodejs or the absolute path of one", name)
	}
	return nil
}

func checkEnds(value any) error {
	ends, ok := value.(map[string]any)
	if !ok {
		return errors.New("not a map of major versions and days")
	}
	for line, day := range ends {
		if _, err := strconv.Atoi(line); err != nil {
			return fmt.Errorf("%q is not a major version", line)
		}
		if _, err := time.Parse(time.DateOnly, fmt.Sprint(day)); err != nil {
			return fmt.Errorf("%v is not a day: write \"2030-04-30\"", day)
		}
	}
	return nil
}

func runtimeVersion(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	f := checks.Findings{}
	if env.Exec == nil {
		return f, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	version, err := nodeVersion(ctx, env, args.Text("program"))
	if err != nil {
		return f, err
	}
	f.Target = args.Text("program")
	line := numbers(version)[0]
	end, known := endOf(line, args.Map("ends"))
	if !known {
		return f, checks.Failed(checks.NoData, "this build does not know until when Node.js %d is supported: write it as ends: {\"%d\": \"2030-04-30\"}", line, line)
	}
	left := max(0, end.Sub(env.Now()))
	f.Facts = []fact.Fact{fact.Word("version", version), fact.Number("line", line), fact.Flag("supported", left > 0), fact.Dur("support_left", left)}
	f.Note = fmt.Sprintf("Node.js %s, supported until %s", version, end.Format(time.DateOnly))
	if left == 0 {
		f.Note = fmt.Sprintf("Node.js %s, not supported since %s", version, end.Format(time.DateOnly))
	}
	newer, err := newerReleases(ctx, env, args.Text("project"), version)
	switch {
	case err != nil && left == 0:
		f.Detail = append(f.Detail, "what is newer is not known: "+err.Error())
		return f, nil // past its end whatever else there is
	case err != nil:
		return f, err
	case len(newer) == 0:
		f.Facts = append(f.Facts, fact.Word("newest", version))
		return f, nil
	}
	behind(env, &f, version, newer)
	return f, nil
}

// behind reports what is newer, and for how long.
func behind(env checks.Env, f *checks.Findings, version string, newer []release) {
	newest := newer[len(newer)-1]
	since := checks.Finding{Check: env.Check, Fact: "behind", Label: version, Look: "line"}.OpenFor(env.History, env.Now())
	if out := newer[0].published; !out.IsZero() {
		since = max(0, env.Now().Sub(out))
	}
	f.Facts = append(f.Facts, fact.Word("newest", newest.version), fact.Number("behind", 1).On(version), fact.Dur("behind_for", since))
	f.Note += fmt.Sprintf("; %s is out", newest.version)
	for _, r := range newer {
		at := "at a time that the registry does not tell"
		if !r.published.IsZero() {
			at = r.published.Format("2006-01-02 15:04 MST")
		}
		f.Detail = append(f.Detail, fmt.Sprintf("%s, published %s", r.version, at))
	}
}

var nodeSays = regexp.MustCompile(`^v(\d+\.\d+\.\d+)$`)

// nodeVersion is what the runtime says of itself; a prerelease is none that
// could be held against releases.
func nodeVersion(ctx context.Context, env checks.Env, program string) (string, error) {
	out, err := env.Exec(ctx, checks.Call{Argv: []string{program, "--version"}, Max: 64 << 10})
	if checks.ClassOf(err) == checks.Missing {
		return "", checks.NotHere{What: "no " + program + " on this host: what runs in a container is updated with its image"}
	}
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", program, err)
	}
	m := nodeSays.FindStringSubmatch(strings.TrimSpace(string(out.Stdout)))
	if m == nil || out.Code != 0 {
		return "", checks.Failed(checks.Parse, "%s --version ended with %d and says %.80q, expected v20.11.0", program, out.Code, strings.TrimSpace(string(out.Stdout)))
	}
	return m[1], nil
}

// endOf is the end of the last day on which a line is supported.
func endOf(line int, ends map[string]any) (time.Time, bool) {
	day, known := lines[line]
	if given, ok := ends[strconv.Itoa(line)]; ok {
		day, known = fmt.Sprint(given), true
	}
	if line < oldestLine && !known {
		day, known = lines[oldestLine], true
	}
	end, err := time.Parse(time.DateOnly, day)
	return end.AddDate(0, 0, 1), known && err == nil
}

// A release is one of a line.
type release struct {
	version   string
	published time.Time // zero: the registry does not tell
}

// newerReleases asks npm's registry, the one that this host or the project is
// set up for, for the releases of the version's line that are newer, oldest
// first. The registry has every release of Node.js as the package node.
func newerReleases(ctx context.Context, env checks.Env, project, version string) ([]release, error) {
	p, ok := env.Site.Projects[project]
	if project != "" && !ok {
		return nil, checks.NotHere{What: fmt.Sprintf("%q under projects", project)}
	}
	var whole strings.Builder
	out, err := env.Exec(ctx, checks.Call{
		Argv: []string{"npm", "view", "node", "versions", "time", "--json"}, Dir: p.Dir, Config: sources(p.Dir), Stdout: &whole, Max: 32 << 20,
		Env: []string{"npm_config_update_notifier=false", "npm_config_fund=false", "npm_config_progress=false", "CI=true", "NO_COLOR=1"},
	})
	if checks.ClassOf(err) == checks.Missing {
		return nil, checks.Failed(checks.Missing, "there is no npm to ask its registry for newer releases")
	}
	if err != nil {
		return nil, fmt.Errorf("asking npm's registry for releases: %w", err)
	}
	raw := []byte(whole.String())
	if err := refused(raw); err != nil {
		return nil, checks.Failed(checks.NoData, "npm's registry tells no releases of Node.js: %w", err)
	}
	var doc struct {
		Versions []string
		Time     map[string]time.Time
	}
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Versions) == 0 {
		return nil, checks.Failed(checks.NoData, "npm view node ended with %d and tells no releases: %s", out.Code, tail(out))
	}
	return newerThan(version, doc.Versions, doc.Time)
}

var isRelease = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// newerThan leaves the other lines and prereleases out. A registry that has no
// release of the line at all knows nothing of it.
func newerThan(version string, all []string, published map[string]time.Time) ([]release, error) {
	mine := numbers(version)
	seen := map[string]release{}
	any := false
	for _, v := range all {
		n := numbers(v)
		if !isRelease.MatchString(v) || n[0] != mine[0] {
			continue
		}
		any = true
		if slices.Compare(n[:], mine[:]) > 0 {
			seen[v] = release{v, published[v]}
		}
	}
	if !any {
		return nil, checks.Failed(checks.NoData, "npm's registry has no release of Node.js %d: what is newer than %s is not known", mine[0], version)
	}
	return slices.SortedFunc(maps.Values(seen), func(a, b release) int {
		x, y := numbers(a.version), numbers(b.version)
		return slices.Compare(x[:], y[:])
	}), nil
}
