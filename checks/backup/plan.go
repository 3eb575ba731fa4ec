package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/postgres"
)

// A plan is a backup that is about to be made, with everything looked at that
// could speak against it. The preview and the deed make the same one.
type plan struct {
	held   *hostfs.Dir // the directory of the set, in which everything is written and removed
	set    *set
	mode   fs.FileMode // of the directory
	free   int64       // bytes, for this user
	drafts []leftover

	// With pg_dump:
	server  *postgres.Server
	source  postgres.Source
	program postgres.Program
	format  string
	name    string // of the new backup, if it were begun now

	// With the site's own script:
	command *checks.Command
}

// planned looks at everything; an error says why the backup cannot be begun.
func planned(ctx context.Context, env checks.Env, args checks.Args) (*plan, error) {
	s, err := openSet(ctx, env, args)
	if err != nil {
		return nil, err
	}
	p := &plan{set: s}
	if p.held, err = s.hold(); err != nil {
		return nil, errors.Join(fmt.Errorf("backup set %s: %w", s.source.Name, err), s.root.Close())
	}
	if err := p.examine(ctx, env, args); err != nil {
		return nil, errors.Join(err, s.root.Close(), p.held.Close())
	}
	return p, nil
}

func (p *plan) close() {
	p.held.Close()     //nolint:errcheck // opened for looking
	p.set.root.Close() //nolint:errcheck // opened for looking; what was written is synced and closed
}

func (p *plan) examine(ctx context.Context, env checks.Env, args checks.Args) error {
	if err := p.directory(); err != nil {
		return fmt.Errorf("backup set %s: %w", p.set.source.Name, err)
	}
	var err error
	if args.Has("command") {
		err = p.withScript(env, args.Text("command"))
	} else {
		err = p.withDump(ctx, env, args.Text("format"))
	}
	if err != nil {
		return err
	}
	return p.space()
}

// directory makes sure that nobody else could put a file of theirs in the
// place of ours, and that we may write.
func (p *plan) directory() error {
	dir := p.set.source.Dir
	info, err := p.set.root.Stat(".")
	if err != nil {
		return err
	}
	p.mode = info.Mode()
	if p.mode.Perm()&0o002 != 0 && p.mode&fs.ModeSticky == 0 {
		return checks.Failed(checks.Denied, "%s is writable by others (mode %04o), who could put another file in the backup's place (chmod o-w)", dir, p.mode.Perm())
	}
	if err := p.held.Writable(); err != nil {
		return fmt.Errorf("writing to %s: %w", dir, err)
	}
	if p.free, err = p.held.Free(); err != nil {
		return fmt.Errorf("asking %s for its free space: %w", dir, err)
	}
	p.drafts, err = leftovers(p.set.root)
	return err
}

// withScript: a script that the site calls more dangerous than this module is
// not run under its name.
func (p *plan) withScript(env checks.Env, name string) error {
	c, ok := env.Site.Commands[name]
	if !ok {
		return checks.NotHere{What: fmt.Sprintf("no command %q in the site file", name)}
	}
	if c.Danger > createDanger {
		return checks.Failed(checks.Denied, "command %s has danger %d in the site file, more than a backup's %d: run it with cmd.run", name, c.Danger, createDanger)
	}
	if len(c.Argv) == 0 || env.Exec == nil {
		return checks.Failed(checks.Unconfigured, "command %s cannot be run here", name)
	}
	c.Name = name
	p.command = &c
	return nil
}

func (p *plan) withDump(ctx context.Context, env checks.Env, format string) error {
	p.format = formatFor(format, p.set.source.Glob)
	var err error
	if p.name, err = nameFor(p.set.source.Glob, p.format, clock(env).In(p.set.zone)); err != nil {
		return fmt.Errorf("backup set %s: %w", p.set.source.Name, err)
	}
	for _, name := range []string{p.name, p.name + checksumSuffix} {
		if info, err := p.set.root.Lstat(name); err == nil {
			return checks.Failed(checks.Other, "%s is there already (a %s) and is not touched", p.set.path(file{name: name}), kindOrFile(info.Mode()))
		}
	}
	if p.server, err = checks.Connected[*postgres.Server](env.Maintaining("postgres"), "postgres"); err != nil {
		return err
	}
	if p.source, err = p.server.Source(ctx); err != nil {
		return err
	}
	p.program, err = postgres.FindProgram(ctx, env.Exec, "pg_dump", p.source.Major())
	return err
}

func kindOrFile(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return kindOf(m)
}

// last is the newest finished backup before this one.
func (p *plan) last() (file, bool) {
	if len(p.set.files) == 0 {
		return file{}, false
	}
	return p.set.files[0], true
}

// needed is what the new backup may take: somewhat more than the last one, or
// a quarter of the database, which dumps seldom exceed, being compressed and
// without indexes.
func (p *plan) needed() int64 {
	if last, ok := p.last(); ok {
		return last.info.Size() / 10 * 12
	}
	return p.source.Size / 4
}

// space refuses what would fill the disk: the disk of the backups may well be
// that of the database.
func (p *plan) space() error {
	if p.free < p.needed() {
		return checks.Failed(checks.Limit, "%s has %s free, and the backup may take %s", p.set.source.Dir, fact.FormatBytes(float64(p.free)), fact.FormatBytes(float64(p.needed())))
	}
	return nil
}

// fingerprint names where the backup is made from and where it goes. The size
// of anything is no part of it: it changes by itself.
func (p *plan) fingerprint() string {
	if p.command != nil {
		return p.set.source.Dir + " " + strings.Join(p.command.Argv, " ")
	}
	return p.source.Fingerprint() + "@" + p.server.Target() + " " + p.set.source.Dir + " " + p.program.String()
}

func (p *plan) locks() []string {
	locks := []string{"file:" + p.set.source.Dir}
	if p.server != nil {
		locks = append(locks, p.source.Lock())
	}
	return locks
}

func (p *plan) findings() checks.Findings {
	if p.command != nil {
		return checks.Findings{Target: p.set.source.Name}
	}
	return checks.Findings{Target: p.source.Database}
}

// steps say what will be done.
func (p *plan) steps() []string {
	var lines []string
	for _, l := range p.drafts {
		if l.busy != "" {
			lines = append(lines, "careful: leaves the unfinished "+l.name()+": "+l.busy)
			continue
		}
		lines = append(lines, fmt.Sprintf("removes %s, %s, left unfinished by an earlier run", l.name(), fact.FormatBytes(float64(l.info.Size()))))
	}
	if p.command != nil {
		lines = append(lines, "runs "+strings.Join(p.command.Argv, " "), "expects a new file in "+p.set.source.Dir+" that matches "+p.set.source.Glob)
	} else {
		lines = append(lines, fmt.Sprintf("dumps %s, %s, with %s in %s format", p.server.Target(), fact.FormatBytes(float64(p.source.Size)), p.program, p.format),
			"to "+p.set.path(file{name: p.name})+", with the time of its start")
	}
	return append(lines, "reads the new backup to its end and writes its checksum next to it")
}

func (p *plan) cautions() []string {
	var lines []string
	last, ok := p.last()
	switch {
	case !ok:
		lines = append(lines, "careful: no backup before this one to tell its size by")
	case p.set.openedAt.Sub(last.at) < 10*time.Minute:
		lines = append(lines, fmt.Sprintf("careful: %s was made %s ago", last.name, fact.FormatDuration(p.set.openedAt.Sub(last.at))))
	}
	for _, f := range p.set.growing {
		lines = append(lines, "careful: "+f.name+" is being written by somebody else")
	}
	if p.mode.Perm()&0o020 != 0 && p.mode&fs.ModeSticky == 0 {
		lines = append(lines, "careful: the directory's group can replace backups in it")
	}
	if !ok && p.command == nil && p.free < p.source.Size {
		lines = append(lines, "careful: the database is larger than what the disk has free")
	}
	if p.source.Standby {
		lines = append(lines, "careful: the server is a standby: replay may cancel the dump, and it shows what has arrived there")
	}
	return lines
}

func (p *plan) removable() []leftover {
	return slices.DeleteFunc(slices.Clone(p.drafts), func(l leftover) bool { return l.busy != "" })
}
