package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Outdated counts dependencies that are behind.
var Outdated = module(checks.Module{
	Name: "npm.outdated",
	Doc:  "Dependencies of each project that are behind, by how much, with the time since each was first seen to be; npm's exit code 1 only says that there are some",
	Params: []checks.Param{
		projectParam(false),
		{Name: "ignore", Type: checks.TextsParam, Doc: "packages that are left out"},
	},
	Facts: []fact.Spec{
		{Name: "outdated", Type: fact.Count, Growth: true, Label: "project", Unit: "packages", Worse: fact.Higher, Doc: "packages that are behind the newest release"},
		{Name: "major", Type: fact.Count, Label: "project", Unit: "packages", Worse: fact.Higher, Doc: "behind by a major release"},
		{Name: "minor", Type: fact.Count, Label: "project", Unit: "packages", Worse: fact.Higher, Doc: "behind by a minor release"},
		{Name: "patch", Type: fact.Count, Label: "project", Unit: "packages", Worse: fact.Higher, Doc: "behind by a patch"},
		{Name: "missing", Type: fact.Count, Label: "project", Unit: "packages", Worse: fact.Higher, Doc: "not installed in the tree that was looked at"},
		{Name: "updatable", Type: fact.Count, Label: "project", Unit: "packages", Doc: "for which npm update has a newer release that package.json allows"},
		{Name: "oldest_major", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the oldest was first seen here to be a major release behind"},
		{Name: "oldest_minor", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "the same of a minor release"},
		{Name: "oldest_patch", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "the same of a patch"},
		{Name: "behind", Type: fact.Count, Label: "package", Growth: true, Optional: true, Doc: "1 patch, 2 minor, 3 major, for each; its history is what first seen is read from"},
	},
	Warn: "oldest_major > 180d", Source: "proposed",
	Timeout: 2 * time.Minute, Every: 6 * time.Hour,
	Example: "use: npm.outdated\nwith: {project: backend}",
	Run:     outdated,
})

// a dependency as npm outdated tells of it.
type dependency struct {
	Current, Wanted, Latest string
}

// parseOutdated reads "npm outdated --json": an object by package, whose
// values are one dependency or, in a workspace, several.
func parseOutdated(raw []byte) (map[string]dependency, error) {
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil, nil // npm 6 writes nothing if nothing is outdated
	}
	if err := refused(raw); err != nil {
		return nil, err
	}
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(raw, &byName); err != nil {
		return nil, fmt.Errorf("its report is no JSON: %w", err)
	}
	all := map[string]dependency{}
	for name, entry := range byName {
		var one dependency
		var several []dependency
		switch {
		case json.Unmarshal(entry, &one) == nil:
			all[name] = one
		case json.Unmarshal(entry, &several) == nil && len(several) > 0:
			all[name] = several[0]
		default:
			return nil, fmt.Errorf("its report says nothing of %s that can be read", name)
		}
	}
	return all, nil
}

// steps from one version to another: 3 major, 2 minor, 1 patch or a
// prerelease, 0 none.
func steps(from, to string) float64 {
	a, b := numbers(from), numbers(to)
	for i, n := range b {
		if n != a[i] {
			return float64(3 - i)
		}
	}
	if from != to {
		return 1
	}
	return 0
}

func numbers(version string) (n [3]int) {
	version, _, _ = strings.Cut(version, "-")
	for i, part := range strings.SplitN(version, ".", 3) {
		n[i], _ = strconv.Atoi(part) // what is no number counts as 0 on both sides
	}
	return n
}

func outdated(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{}
	oldest := map[float64]time.Duration{}
	table := checks.Table{Name: "packages", Columns: []checks.Column{
		{Name: "project", Type: fact.Text}, {Name: "package", Type: fact.Text}, {Name: "current", Type: fact.Text}, {Name: "wanted", Type: fact.Text},
		{Name: "latest", Type: fact.Text}, {Name: "known", Type: fact.Duration},
	}}
	for _, p := range projects {
		out, err := run(ctx, env, p, "outdated", "--json")
		if err != nil {
			return f, err
		}
		all, err := parseOutdated(out.Stdout)
		if err == nil && len(all) == 0 && out.Code != 0 {
			err = fmt.Errorf("it ended with %d: %s", out.Code, tail(out))
		}
		if err != nil {
			return f, checks.Failed(checks.NoData, "project %s: npm outdated found nothing out: %w", p.Name, err)
		}
		count, missing, updatable := map[float64]int{}, 0, 0
		for _, name := range sortedKeys(all) {
			d := all[name]
			if slices.Contains(args.Texts("ignore"), name) {
				continue
			}
			if d.Current == "" {
				missing++
				continue
			}
			if d.Current != d.Wanted {
				updatable++
			}
			by := steps(d.Current, d.Latest)
			label := p.Name + " " + name
			known := checks.Finding{Check: env.Check, Fact: "behind", Label: label, Look: "outdated", On: p.Name, Least: by}.OpenFor(env.History, env.Now())
			count[by]++
			if before, ok := oldest[by]; !ok || known > before {
				oldest[by] = known
			}
			f.Facts = append(f.Facts, fact.Number("behind", by).On(label))
			table.Rows = append(table.Rows, []fact.Value{
				fact.WordValue(p.Name), fact.WordValue(name), fact.WordValue(d.Current), fact.WordValue(d.Wanted), fact.WordValue(d.Latest), fact.DurValue(known),
			})
		}
		f.Facts = append(f.Facts,
			fact.Number("outdated", count[1]+count[2]+count[3]).On(p.Name), fact.Number("major", count[3]).On(p.Name), fact.Number("minor", count[2]).On(p.Name),
			fact.Number("patch", count[1]).On(p.Name), fact.Number("missing", missing).On(p.Name), fact.Number("updatable", updatable).On(p.Name))
	}
	for by, name := range map[float64]string{3: "oldest_major", 2: "oldest_minor", 1: "oldest_patch"} {
		if age, ok := oldest[by]; ok {
			f.Facts = append(f.Facts, fact.Dur(name, age))
		}
	}
	f.Note = fmt.Sprintf("%d packages behind in %d projects", len(table.Rows), len(projects))
	f.Tables = []checks.Table{table}
	return f, nil
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
