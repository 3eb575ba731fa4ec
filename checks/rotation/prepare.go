package rotation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/scratch"
)

// prepare finds out what logrotate would do, and refuses what would not work or
// would do harm. It changes nothing.
func prepare(ctx context.Context, env checks.Env, args checks.Args) (*rotation, error) {
	if env.Exec == nil {
		return nil, checks.Failed(checks.Unconfigured, "no commands can be run here")
	}
	s, err := surveyed(env)
	if err != nil {
		return nil, err
	}
	if err := s.load(s.site.Main, 0); err != nil {
		return nil, err
	}
	if err := s.choose(); err != nil {
		return nil, err
	}
	if len(s.errors) > 0 {
		return nil, checks.Failed(checks.Other, "the configuration is not in order: %s", s.errors[0])
	}
	r := &rotation{survey: s, remove: func() {}}
	if err := r.arguments(args); err != nil {
		return nil, err
	}
	if err := r.ask(ctx); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

// arguments chooses the configuration. The site's own part comes after the
// directives that hold for all of the host, which logrotate reads first.
func (r *rotation) arguments(args checks.Args) error {
	r.args = []string{"-s", filepath.Join(r.env.Root, r.site.State)}
	if args.Bool("force") {
		r.args = append(r.args, "-f")
	}
	if r.site.Config == "" {
		r.args = append(r.args, filepath.Join(r.env.Root, r.site.Main))
		return nil
	}
	content, err := read(r.env.Root, r.site.Main)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.site.Main, err)
	}
	_, defaults, _, err := parse(r.site.Main, content)
	if err != nil {
		return checks.Failed(checks.Parse, "%w", err)
	}
	private, err := scratch.In(r.env.Dir)
	if err != nil {
		return fmt.Errorf("writing the host's defaults: %w", err)
	}
	r.remove = func() { private.Remove() } //nolint:errcheck // the next process removes what is left
	file := filepath.Join(private.Path, "logrotate-defaults")
	if err := os.WriteFile(file, []byte(strings.Join(defaults, "\n")+"\n"), 0o600); err != nil {
		r.remove()
		return fmt.Errorf("writing the host's defaults: %w", err)
	}
	r.args = append(r.args, file, filepath.Join(r.env.Root, r.site.Config))
	return nil
}

// configs are the sources of the host's configuration and of the site's part.
func (r *rotation) configs() ([]string, error) {
	names := []string{r.site.Main}
	if r.site.Config != "" {
		names = append(names, r.site.Config)
	}
	return r.sources(names...)
}

// ask takes logrotate's debug run apart.
func (r *rotation) ask(ctx context.Context) error {
	steering, err := r.configs()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	out, err := r.env.Exec(ctx, checks.Call{
		Argv: append([]string{"logrotate", "-d"}, r.args...), Live: &said, Max: 4 << 20, Config: steering,
	})
	if err != nil { // also if it says more than it may
		return fmt.Errorf("the debug run of logrotate: %w", err)
	}
	r.plan = parsePlan(said.String())
	r.plan.gone(func(name string) bool {
		_, err := os.Lstat(name)
		return err == nil
	})
	if len(r.plan.errors) > 0 {
		class := checks.Other
		if unread.MatchString(r.plan.errors[0]) {
			class = checks.Denied
		}
		return checks.Failed(class, "the debug run of logrotate: %s", r.plan.errors[0])
	}
	if out.Code != 0 {
		return checks.Failed(checks.Other, "the debug run of logrotate ended with %d", out.Code)
	}
	if len(r.plan.due) == 0 {
		return checks.NotHere{What: fmt.Sprintf("none of %d logs is due: logrotate would do nothing (force: true rotates all the same)", r.plan.considered)}
	}
	return r.examine()
}

// examine refuses hooks that do harm and files that this user may not change.
func (r *rotation) examine() error {
	for _, b := range r.concerned() {
		for name, script := range b.hooks {
			if restarts(script) {
				return checks.Failed(checks.Other, "%s:%d: %s restarts or stops a service, and so drops its requests: let it reopen its log", b.file, b.line, name)
			}
		}
	}
	state := filepath.Join(r.env.Root, r.site.State)
	if _, err := os.Lstat(state); errors.Is(err, fs.ErrNotExist) {
		state = filepath.Dir(state)
	}
	if err := unix.Access(state, unix.W_OK); err != nil {
		return fmt.Errorf("as this user: writing %s: %w", state, err)
	}
	stamps, err := r.stamps()
	if err != nil {
		return err
	}
	r.known = map[string]identity{}
	for _, log := range r.plan.due {
		if err := unix.Access(filepath.Dir(log), unix.W_OK); err != nil {
			return fmt.Errorf("as this user: renaming in %s: %w", filepath.Dir(log), err)
		}
		id, there, err := identify(log, stamps)
		if err != nil || !there {
			return checks.Failed(checks.Parse, "logrotate is to rotate %.200q, which is not a file: %v", log, err)
		}
		r.known[log] = id
	}
	return nil
}

// concerned are the blocks of which a log is due: their hooks are run.
func (r *rotation) concerned() []block {
	return slices.DeleteFunc(slices.Clone(r.blocks), func(b block) bool {
		logs, err := b.logs("/") // as logrotate, which knows no other root
		return err != nil || !slices.ContainsFunc(logs, func(l log) bool { return slices.Contains(r.plan.due, l.name) })
	})
}

func (s *survey) target() string {
	if s.site.Config != "" {
		return s.site.Config
	}
	return s.site.Main
}

// fingerprint is the same as long as the same logs are due by the same blocks.
func (r *rotation) fingerprint() string {
	var b strings.Builder
	for _, log := range r.plan.due {
		fmt.Fprintf(&b, "%s %v\n", log, r.known[log].file())
	}
	for _, block := range r.concerned() {
		fmt.Fprintf(&b, "%q %q %q\n", block.patterns, block.directives, block.hooks)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

// asPreviewed holds that exactly what was confirmed is done.
func (r *rotation) asPreviewed() error {
	shown := map[string]identity{}
	for _, f := range r.env.Before {
		if f.Name == "identity" {
			shown[f.Label] = parseIdentity(f.Text)
		}
	}
	if len(shown) == 0 {
		return checks.Failed(checks.Internal, "a rotation needs a confirmed preview")
	}
	for _, log := range r.plan.due {
		before, ok := shown[log]
		switch {
		case !ok:
			return checks.Failed(checks.Other, "%s is due now and was not in the preview: look at it again", log)
		case before.file() != r.known[log].file() || before.rotated != r.known[log].rotated:
			return checks.Failed(checks.Other, "%s was rotated since the preview: look at it again", log)
		}
	}
	if len(r.plan.due) != len(shown) {
		return checks.Failed(checks.Other, "%d logs are due and the preview named %d: look at it again", len(r.plan.due), len(shown))
	}
	return nil
}
