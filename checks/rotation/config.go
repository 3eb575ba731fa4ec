package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// The files of Debian's logrotate.
const (
	mainConfig = "/etc/logrotate.conf"
	stateFile  = "/var/lib/logrotate/status"
)

// Config tests the rotation of logs as it is configured.
var Config = module(checks.Module{
	Name: "config.logrotate",
	Doc:  "Tests logrotate's whole configuration by its debug run, which rotates nothing, and reads the blocks of the site's own part of it: directives, hooks that restart a service or hide a failure, and when each log was last rotated",
	Facts: []fact.Spec{
		{Name: "errors", Type: fact.Count, Unit: "errors", Worse: fact.Higher, Doc: "errors that logrotate itself finds in the configuration, and blocks without an end; its exit code says nothing of either"},
		{Name: "blocks", Type: fact.Count, Unit: "blocks", Worse: fact.Lower, Doc: "blocks that were judged"},
		{Name: "drift", Type: fact.Count, Unit: "directives", Worse: fact.Higher, Doc: "expected directives that a block lacks"},
		{Name: "restarts", Type: fact.Count, Unit: "hooks", Worse: fact.Higher, Doc: "hooks that restart or stop a service, and so drop its requests"},
		{Name: "masked", Type: fact.Count, Unit: "hooks", Worse: fact.Higher, Doc: "hooks that hide that a command failed"},
		{Name: "late", Type: fact.Count, Unit: "logs", Worse: fact.Higher, Doc: "logs that were not rotated for their period and two hours more"},
		{Name: "owners", Type: fact.Count, Unit: "logs", Worse: fact.Higher, Doc: "logs whose owner is not the one that create gives the next"},
		{Name: "rotated", Type: fact.Duration, Label: "log", Optional: true, Worse: fact.Higher, Doc: "time since the last rotation, by the state file"},
	},
	Warn: "drift > 0 or late > 0 or owners > 0", Fail: "errors > 0 or blocks < 1 or restarts > 0 or masked > 0",
	Source:  "guide: rotated < 26h, which is a day and two hours; owners: proposed",
	Timeout: 30 * time.Second, Every: 10 * time.Minute,
	Example: "use: config.logrotate",
	Run:     runConfig,
})

// survey is what is known of the configuration by now.
type survey struct {
	env    checks.Env
	site   checks.Logrotate
	blocks []block
	global []string
	errors []string
}

// surveyed begins with what the site file says, or else Debian.
func surveyed(env checks.Env) (*survey, error) {
	s := &survey{env: env, site: env.Site.Logrotate}
	if s.site.Main == "" {
		s.site.Main = mainConfig
	}
	if s.site.State == "" {
		s.site.State = stateFile
	}
	if _, err := os.Stat(filepath.Join(env.Root, s.site.Main)); errors.Is(err, fs.ErrNotExist) && env.Site.Logrotate.Origin == "" {
		return nil, checks.NotHere{What: "there is no " + s.site.Main}
	}
	return s, nil
}

func runConfig(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := surveyed(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := s.debug(ctx); err != nil {
		return checks.Findings{}, err
	}
	if err := s.load(s.site.Main, 0); err != nil {
		return checks.Findings{}, err
	}
	if err := s.choose(); err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.site.Main}
	if s.site.Config != "" {
		f.Target = s.site.Config
	}
	s.judge(&f)
	if err := s.rotations(ctx, &f); err != nil {
		return checks.Findings{}, err
	}
	f.Detail = append(s.errors, f.Detail...)
	f.Facts = append(f.Facts, fact.Number("errors", len(s.errors)), fact.Number("blocks", len(s.blocks)))
	f.Note = fmt.Sprintf("%d blocks, %d errors", len(s.blocks), len(s.errors))
	return f, nil
}

var complaint = regexp.MustCompile(`^error: `)

// unread matches what logrotate says of logs that this user may not see; the
// configuration is not at fault then, and nothing is known of it.
var unread = regexp.MustCompile(`(?i)permission denied`)

// debug lets logrotate read its configuration. Its exit code is 0 for a
// directive that it does not know, so its words count.
func (s *survey) debug(ctx context.Context) error {
	if s.env.Exec == nil {
		return checks.Failed(checks.Unconfigured, "no commands can be run here")
	}
	steering, err := s.sources(s.site.Main)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	out, err := s.env.Exec(ctx, checks.Call{
		Argv: []string{"logrotate", "-d", "-s", filepath.Join(s.env.Root, s.site.State), filepath.Join(s.env.Root, s.site.Main)},
		Live: &said, Max: 4 << 20, Config: steering,
	})
	if err != nil { // also if it says more than it may
		return fmt.Errorf("the debug run of logrotate: %w", err)
	}
	for line := range strings.Lines(said.String()) {
		if line = strings.TrimSpace(line); !complaint.MatchString(line) {
			continue
		}
		if unread.MatchString(line) {
			return checks.Failed(checks.Denied, "logrotate as this user: %s", clean.Line(line, 200))
		}
		s.errors = append(s.errors, clean.Line(line, 200))
	}
	if out.Code != 0 && len(s.errors) == 0 {
		return checks.Failed(checks.Other, "the debug run of logrotate ended with %d: %.200s", out.Code, out.Stderr)
	}
	return nil
}

// sources are the files and folders that decide what logrotate does with a
// configuration: its scripts run as the user that opsdeck runs as. More files
// than are looked at, and one too large to be read whole, are errors: whose the
// rest is is not known then.
func (s *survey) sources(names ...string) ([]string, error) {
	var found []string
	for ; len(names) > 0; names = names[1:] {
		path := filepath.Join(s.env.Root, names[0])
		if slices.Contains(found, path) {
			continue
		}
		if len(found) == maxSources {
			return nil, checks.Failed(checks.Limit, "logrotate's configuration %s takes in more than %d files", s.site.Main, maxSources)
		}
		found = append(found, path)
		// What cannot be read or understood is refused, or logrotate says so.
		if entries, err := os.ReadDir(path); err == nil {
			for _, e := range entries {
				names = append(names, filepath.Join(names[0], e.Name()))
			}
			continue
		}
		content, err := read(s.env.Root, names[0])
		var large *hostfs.TooLargeError
		if errors.As(err, &large) {
			return nil, fmt.Errorf("looking for what logrotate takes in: %w", err)
		}
		if err == nil {
			_, _, includes, _ := parse(names[0], content) //nolint:errcheck // said by the debug run
			names = append(names, includes...)
		}
	}
	return found, nil
}

// maxSources bounds the files of a configuration that are looked at.
const maxSources = 2000

// deepest is how far includes are followed.
const deepest = 4

// load reads a file and what it includes.
func (s *survey) load(name string, depth int) error {
	if depth > deepest {
		return checks.Failed(checks.Limit, "%s is included %d deep", name, depth)
	}
	content, err := read(s.env.Root, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	blocks, global, includes, err := parse(name, content)
	if err != nil {
		s.errors = append(s.errors, err.Error())
	}
	s.blocks = append(s.blocks, blocks...)
	s.global = append(s.global, global...)
	for _, path := range includes {
		if err := s.include(path, depth); err != nil {
			return err
		}
	}
	return nil
}

// passedOver are the endings of files that logrotate leaves out of a folder.
var passedOver = regexp.MustCompile(`^\.|~$|,v$|\.(?:bak|cfsaved|disabled|dpkg-[a-z]+|rpmnew|rpmorig|rpmsave|swp|ucf-dist|ucf-new|ucf-old)$`)

func (s *survey) include(path string, depth int) error {
	info, err := os.Stat(filepath.Join(s.env.Root, path))
	if err != nil {
		return fmt.Errorf("reading what is included: %w", err)
	}
	if !info.IsDir() {
		return s.load(path, depth+1)
	}
	entries, err := os.ReadDir(filepath.Join(s.env.Root, path))
	if err != nil {
		return fmt.Errorf("reading what is included: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || passedOver.MatchString(e.Name()) {
			continue
		}
		if err := s.load(filepath.Join(path, e.Name()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// choose keeps the blocks of the site's own part. A part that the main
// configuration does not include is never run.
func (s *survey) choose() error {
	if s.site.Config == "" {
		return nil
	}
	var own []block
	for _, b := range s.blocks {
		if b.file == s.site.Config {
			own = append(own, b)
		}
	}
	if _, err := os.Stat(filepath.Join(s.env.Root, s.site.Config)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for the site's part: %w", err)
	}
	if len(own) == 0 {
		s.errors = append(s.errors, fmt.Sprintf("%s has no block that %s includes", s.site.Config, s.site.Main))
	}
	s.blocks = own
	return nil
}

// judge counts what the blocks lack and what their hooks do.
func (s *survey) judge(f *checks.Findings) {
	drift, restarting, masked := 0, 0, 0
	for _, b := range s.blocks {
		at := fmt.Sprintf("%s:%d", b.file, b.line)
		for _, want := range s.site.Expect {
			if !b.has(want) {
				drift++
				f.Detail = append(f.Detail, fmt.Sprintf("%s: no %q", at, want))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(b.hooks)) {
			script := b.hooks[name]
			if restarts(script) {
				restarting++
				f.Detail = append(f.Detail, fmt.Sprintf("%s: %s restarts or stops a service: let it reopen its log", at, name))
			}
			if masks(script) {
				masked++
				f.Detail = append(f.Detail, fmt.Sprintf("%s: %s hides that a command failed", at, name))
			}
		}
	}
	f.Facts = append(f.Facts, fact.Number("drift", drift), fact.Number("restarts", restarting), fact.Number("masked", masked))
}
