package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Dependabot looks at what proposes updates by itself.
var Dependabot = module(checks.Module{
	Name: "config.dependabot",
	Doc:  "Whether Dependabot proposes updates of each project, how often and how many at once, and whether it has stopped in silence because so many are open",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Names: "projects", Doc: "project of the site file; without it all of them", Example: "backend"},
		{Name: "ecosystem", Type: checks.TextParam, Default: "npm", Doc: "package-ecosystem of the entry"},
		{Name: "interval", Type: checks.TextParam, Default: "weekly", OneOf: intervals, Doc: "it has to look this often, or more often"},
		{Name: "wanted", Type: checks.TextsParam, Doc: "other ecosystems that the repository has to have an entry for", Example: "docker"},
	},
	Facts: []fact.Spec{
		{Name: "entry", Type: fact.Bool, Label: "project", Worse: fact.Lower, Doc: "the configuration has an entry for the project's directory"},
		{Name: "often", Type: fact.Bool, Label: "project", Worse: fact.Lower, Doc: "it looks as often as it has to"},
		{Name: "limit", Type: fact.Count, Label: "project", Unit: "proposals", Optional: true, Doc: "as many may be open at once; 5 if the entry names none, 0 proposes security updates only"},
		{Name: "open", Type: fact.Count, Label: "project", Unit: "proposals", Optional: true, Worse: fact.Higher, Doc: "branches of Dependabot at the remote for the project's directory"},
		{Name: "full", Type: fact.Bool, Label: "project", Optional: true, Worse: fact.Higher, Doc: "as many are open as may be: nothing new is proposed any more"},
		{Name: "grouped", Type: fact.Bool, Label: "project", Optional: true, Doc: "updates come in groups"},
		{Name: "absent", Type: fact.Count, Unit: "ecosystems", Worse: fact.Higher, Doc: "wanted ecosystems without an entry"},
	},
	Warn: "full == true or absent > 0", Fail: "entry == false or often == false", Source: "guide (weekly, at most 10 open); the rest: proposed",
	Timeout: 30 * time.Second, Every: time.Hour,
	Example: "use: config.dependabot\nwith: {interval: weekly}",
	Run:     dependabot,
})

// intervals from the most frequent, as Dependabot's documentation names them.
var intervals = []string{"daily", "weekly", "monthly", "quarterly", "semiannually", "yearly"}

// defaultLimit is Dependabot's own for version updates.
const defaultLimit = 5

type dependabotFile struct {
	Version int
	Updates []dependabotEntry
}

type dependabotEntry struct {
	Ecosystem   string `yaml:"package-ecosystem"`
	Directory   string
	Directories []string
	Schedule    struct{ Interval string }
	Limit       *int `yaml:"open-pull-requests-limit"`
	Groups      map[string]any
}

// covers says whether an entry is for a directory of the repository.
func (e dependabotEntry) covers(ecosystem, dir string) bool {
	if e.Ecosystem != ecosystem {
		return false
	}
	for _, d := range append(slices.Clone(e.Directories), e.Directory) {
		if d == "" {
			continue
		}
		if ok, err := filepath.Match(filepath.Clean("/"+d), dir); err == nil && ok {
			return true
		}
	}
	return false
}

// parseDependabot reads the configuration.
func parseDependabot(raw []byte) (dependabotFile, error) {
	var f dependabotFile
	if err := yaml.Unmarshal(raw, &f); err != nil {
		return f, errors.New(yaml.FormatError(err, false, false))
	}
	if f.Version != 2 {
		return f, fmt.Errorf("its version is %d, and Dependabot reads 2", f.Version)
	}
	return f, nil
}

func dependabot(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{}
	absent, entries := map[string]bool{}, 0
	for _, p := range projects {
		t, err := Look(ctx, env, p)
		if err != nil {
			return f, err
		}
		file, err := t.dependabotFile()
		if err != nil {
			return f, err
		}
		for _, want := range args.Texts("wanted") {
			if !slices.ContainsFunc(file.Updates, func(e dependabotEntry) bool { return e.Ecosystem == want }) {
				absent[want] = true
			}
		}
		facts, err := t.proposals(ctx, env, args, file)
		if err != nil {
			return f, err
		}
		if facts[0].Bool() {
			entries++
		}
		f.Facts = append(f.Facts, facts...)
	}
	f.Facts = append(f.Facts, fact.Number("absent", len(absent)))
	f.Note = fmt.Sprintf("%d of %d projects have an entry", entries, len(projects))
	return f, nil
}

// maxConfig bounds the repository's configuration, in bytes.
const maxConfig = 4 << 20

// dependabotFile is the repository's configuration; one that is not there has
// no entries.
func (t Tree) dependabotFile() (dependabotFile, error) {
	for _, name := range []string{"dependabot.yml", "dependabot.yaml"} {
		raw, err := hostfs.Read(filepath.Join(t.Top, ".github", name), maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return dependabotFile{}, fmt.Errorf("project %s: %w", t.Name, err)
		}
		f, err := parseDependabot(raw)
		if err != nil {
			return f, checks.Failed(checks.Parse, "project %s: .github/%s: %w", t.Name, name, err)
		}
		return f, nil
	}
	return dependabotFile{}, nil
}

// proposals says how a project's entry stands; the first fact is whether there
// is one.
func (t Tree) proposals(ctx context.Context, env checks.Env, args checks.Args, file dependabotFile) ([]fact.Fact, error) {
	real, err := filepath.EvalSymlinks(t.Dir)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", t.Name, err)
	}
	below, err := filepath.Rel(t.Top, real)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", t.Name, err)
	}
	dir := filepath.Join("/", below)
	i := slices.IndexFunc(file.Updates, func(e dependabotEntry) bool { return e.covers(args.Text("ecosystem"), dir) })
	if i < 0 {
		return []fact.Fact{fact.Flag("entry", false).On(t.Name), fact.Flag("often", false).On(t.Name)}, nil
	}
	e := file.Updates[i]
	rank := slices.Index(intervals, e.Schedule.Interval)
	limit := defaultLimit
	if e.Limit != nil {
		limit = *e.Limit
	}
	open, err := t.openProposals(ctx, env, args.Text("ecosystem"), dir)
	if err != nil {
		return nil, err
	}
	return []fact.Fact{
		fact.Flag("entry", true).On(t.Name),
		fact.Flag("often", rank >= 0 && rank <= slices.Index(intervals, args.Text("interval"))).On(t.Name),
		fact.Number("limit", limit).On(t.Name), fact.Number("open", open).On(t.Name),
		fact.Flag("full", limit > 0 && open >= limit).On(t.Name), fact.Flag("grouped", len(e.Groups) > 0).On(t.Name),
	}, nil
}

// openProposals counts Dependabot's branches at the remote: it makes one for
// each proposal and removes it when that is closed.
func (t Tree) openProposals(ctx context.Context, env checks.Env, ecosystem, dir string) (int, error) {
	name := ecosystem
	if name == "npm" {
		name = "npm_and_yarn"
	}
	below := "refs/heads/dependabot/" + filepath.Join(name, dir) + "/"
	said, err := t.ask(ctx, env, "ls-remote", "--quiet", t.Remote, below+"*")
	if err != nil {
		return 0, err
	}
	open := 0
	for line := range strings.Lines(said) {
		_, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(ref, below) {
			open++
		}
	}
	return open, nil
}
