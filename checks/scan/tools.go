package scan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Tools finds out which tools for scans and load tests the host has. It
// installs none: a tool is a package of the host, with a version that somebody
// has chosen.
var Tools = module(checks.Module{
	Name: "tool.present",
	Doc: "Whether this host has the tools for scans and load tests, and in which version, by their own word; installs nothing. " +
		"A load test of opsdeck itself (load.run) needs none",
	Params: []checks.Param{
		{Name: "tools", Type: checks.TextsParam, Check: checkTools, Doc: "tools that have to be here; without it those of the scans in the site file", Example: "[nmap, gitleaks]"},
		{Name: "least", Type: checks.MapParam, Check: checkLeast, Doc: "least version of a tool", Example: `{nmap: "7.80"}`},
	},
	Facts: []fact.Spec{
		{Name: "missing", Type: fact.Count, Unit: "tools", Worse: fact.Higher, Doc: "tools that have to be here and are not"},
		{Name: "old", Type: fact.Count, Unit: "tools", Worse: fact.Higher, Doc: "tools that are here in a version below the least"},
		{Name: "present", Type: fact.Bool, Label: "tool", Worse: fact.Lower, Doc: "it is here; of every tool that is known"},
		{Name: "version", Type: fact.Text, Label: "tool", Optional: true, Doc: "its version; absent if it does not say"},
	},
	Fail: "missing > 0 or old > 0", Source: "guide",
	Timeout: time.Minute, Every: 24 * time.Hour,
	Example: "use: tool.present\nwith:\n  tools: [nmap]\n  least: {nmap: \"7.80\"}",
	Run:     present,
})

// A probed tool is how a program is asked for its version. What it ends with
// says nothing: wrk ends with 1 after it has told.
type probed struct {
	argv    []string
	version *regexp.Regexp
}

const number = `(\d+(?:\.\d+)+)`

// programs are the tools that are known, by the name they go by.
var programs = map[string]probed{
	"nmap":      {[]string{"nmap", "--version"}, regexp.MustCompile(`Nmap version ` + number)},
	"testssl":   {[]string{"testssl", "--version"}, regexp.MustCompile(`testssl\S*\s+(?:version )?` + number)},
	"sqlmap":    {[]string{"sqlmap", "--version"}, regexp.MustCompile(`^` + number)},
	"zap":       {[]string{"zap.sh", "-version"}, regexp.MustCompile(`^` + number)},
	"gitleaks":  {[]string{"gitleaks", "version"}, regexp.MustCompile(`^v?` + number)},
	"ab":        {[]string{"ab", "-V"}, regexp.MustCompile(`ApacheBench, Version ` + number)},
	"wrk":       {[]string{"wrk", "-v"}, regexp.MustCompile(`wrk \D*` + number)},
	"vegeta":    {[]string{"vegeta", "-version"}, regexp.MustCompile(`Version: v?` + number)},
	"k6":        {[]string{"k6", "version"}, regexp.MustCompile(`k6\S* v` + number)},
	"artillery": {[]string{"artillery", "--version"}, regexp.MustCompile(`Artillery: ` + number)},
}

func checkTools(value any) error {
	for _, name := range value.([]string) {
		if err := knownTool(name); err != nil {
			return err
		}
	}
	return nil
}

func knownTool(name string) error {
	if _, ok := programs[name]; ok {
		return nil
	}
	names := slices.Sorted(maps.Keys(programs))
	if near := checks.Nearest(name, names); near != "" {
		return fmt.Errorf("there is no tool %q: %s", name, near)
	}
	return fmt.Errorf("there is no tool %q among %s", name, strings.Join(names, ", "))
}

func checkLeast(value any) error {
	least, ok := value.(map[string]any)
	if !ok {
		return errors.New("not a map of tools and versions")
	}
	for name, version := range least {
		if err := knownTool(name); err != nil {
			return err
		}
		text, ok := version.(string) // 7.80 without quotes is the number 7.8
		if !ok {
			return fmt.Errorf("%s: %v is a number: write the version in quotes", name, version)
		}
		if _, err := numbers(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func present(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Exec == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	needed, least := needed(env, args), args.Map("least")
	f := checks.Findings{}
	table := checks.Table{Name: "tools", Columns: []checks.Column{
		{Name: "tool", Type: fact.Text}, {Name: "needed", Type: fact.Bool}, {Name: "here", Type: fact.Bool}, {Name: "version", Type: fact.Text},
	}}
	var missing, old, here []string
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		version, found, err := ask(ctx, env, programs[name])
		if err != nil {
			return f, fmt.Errorf("asking %s for its version: %w", name, err)
		}
		must := slices.Contains(needed, name)
		f.Facts = append(f.Facts, fact.Flag("present", found).On(name))
		table.Rows = append(table.Rows, []fact.Value{fact.WordValue(name), fact.FlagValue(must), fact.FlagValue(found), fact.WordValue(version)})
		if found {
			here = append(here, strings.TrimSpace(name+" "+version))
		} else if must {
			missing = append(missing, name)
		}
		if version != "" {
			f.Facts = append(f.Facts, fact.Word("version", version).On(name))
		}
		if low, wanted := least[name]; wanted && found {
			behind, err := below(version, fmt.Sprint(low))
			if err != nil {
				return f, checks.Failed(checks.NoData, "%s is here and does not say in which version: whether that is %v cannot be told", name, low)
			}
			if behind {
				old = append(old, fmt.Sprintf("%s %s, and %v is the least", name, version, low))
			}
		}
	}
	f.Note = fmt.Sprintf("%d of %d needed tools are here", len(needed)-len(missing), len(needed))
	f.Facts = append(f.Facts, fact.Number("missing", len(missing)), fact.Number("old", len(old)))
	f.Tables = []checks.Table{table}
	f.Detail = []string{"here: " + strings.Join(here, ", ")}
	for _, name := range missing {
		f.Detail = append(f.Detail, name+" is not here: install it as a package of this host, in a version that you have chosen")
	}
	f.Detail = append(f.Detail, old...)
	return f, nil
}

// needed are the tools that are named, here or by a scan of the site file.
func needed(env checks.Env, args checks.Args) []string {
	names := slices.Clone(args.Texts("tools"))
	for name := range args.Map("least") {
		names = append(names, name)
	}
	if !args.Has("tools") {
		for _, s := range env.Site.Scans {
			names = append(names, s.Tool)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ask asks a program for its version; "" if it says none.
func ask(ctx context.Context, env checks.Env, p probed) (version string, found bool, err error) {
	out, err := env.Exec(ctx, checks.Call{Argv: p.argv, Env: []string{"TERM=dumb", "NO_COLOR=1"}, Max: 1 << 20})
	if checks.ClassOf(err) == checks.Missing {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(out.Stdout) + "\n" + string(out.Stderr)) {
		// Some colour it, whatever they are told.
		if m := p.version.FindStringSubmatch(clean.Line(line, 0)); m != nil {
			return m[1], true, nil
		}
	}
	return "", true, nil
}

// numbers are those of a version: 7, 80.
func numbers(version string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("%q is not a version: write 7.80", version)
		}
		all = append(all, n)
	}
	return all, nil
}

// below compares versions number by number: 7.9 is below 7.10.
func below(version, least string) (bool, error) {
	a, err := numbers(version)
	if err != nil {
		return false, err
	}
	b, err := numbers(least)
	return slices.Compare(a, b) < 0, err
}
