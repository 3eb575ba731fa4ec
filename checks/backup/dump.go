package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/postgres"
)

// lockWait is how long pg_dump waits for a lock on a table: whoever holds it
// that long is changing the table, and everybody would queue behind the dump.
const lockWait = "30000" // milliseconds

// dump makes the backup with pg_dump. On any error nothing of it stays.
func (p *plan) dump(ctx context.Context, env checks.Env) (made product, err error) {
	began := time.Now()
	d, err := newDraft(p.set.root, env.Token)
	if err != nil {
		return product{}, err
	}
	defer func() { err = errors.Join(err, d.discard()) }()
	p.follow(d, env)
	if err := p.runDump(ctx, env, d); err != nil {
		return product{}, err
	}
	if err := d.file.Sync(); err != nil {
		return product{}, fmt.Errorf("syncing the new backup: %w", err)
	}
	made.took, made.size = time.Since(began), d.size
	env.Report(float64(d.size), float64(d.size), "reading the backup to its end")
	if made.found, err = d.inspect(ctx, p.name, p.format); err != nil || made.found.problem != "" {
		return made, err
	}
	if err := ctx.Err(); err != nil {
		return product{}, err
	}
	if err := d.finish(p.name); err != nil {
		return product{}, err
	}
	made.name, made.sum = p.name, d.checksum()
	env.Printf("%s is written, %s", p.set.path(file{name: made.name}), made.sum)
	by := p.program.String() + " of " + p.server.Target()
	return made, record{env.Token, made.sum, made.name, clock(env), by}.write(p.set.root)
}

// follow makes the draft tell how far it is, measured by the last backup.
func (p *plan) follow(d *draft, env checks.Env) {
	var expected float64
	if last, ok := p.last(); ok {
		expected = float64(last.info.Size())
	}
	d.report = func(size int64) {
		total := expected
		if float64(size) > total {
			total = 0 // nobody knows any more
		}
		env.Report(float64(size), total, "dumping "+p.source.Database)
	}
}

func (p *plan) runDump(ctx context.Context, env checks.Env, to io.Writer) (err error) {
	call, err := p.server.Call(env, p.program, "", "--format="+p.format, "--compress=6", "--lock-wait-timeout="+lockWait)
	defer func() { err = errors.Join(err, postgres.RemovePasswordFile(call)) }()
	if err != nil {
		return err
	}
	call.Stdout, call.Live = to, env.Out
	env.Printf("%s dumps %s", p.program, p.server.Target())
	out, err := env.Exec(ctx, call)
	if err != nil {
		return fmt.Errorf("dumping %s: %w", p.server.Target(), err)
	}
	if out.Code != 0 {
		return fmt.Errorf("dumping %s: %w", p.server.Target(), p.server.Misdone(p.program, out))
	}
	return nil
}

// inspect reads the draft as backup.integrity will read the backup.
func (d *draft) inspect(ctx context.Context, name, format string) (inspection, error) {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return inspection{}, err
	}
	content := map[string]string{formatCustom: "custom", formatPlain: "sql"}[format]
	found, err := inspect(ctx, d.file, d.size, inspectOptions{content: content, maxRatio: 1000, name: name})
	if err != nil {
		return found, fmt.Errorf("reading the new backup: %w", err)
	}
	return found, nil
}

// runScript makes the backup with the site's own script, and believes the
// files it finds afterwards, not the exit code alone.
func (p *plan) runScript(ctx context.Context, env checks.Env, args checks.Args) (product, error) {
	began := time.Now()
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if p.command.Timeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, p.command.Timeout)
	}
	defer cancel()
	out, err := env.Exec(bounded, checks.Call{Argv: p.command.Argv, Live: env.Out})
	if err != nil {
		return product{}, fmt.Errorf("backing up with %s: %w", p.command.Name, err)
	}
	made := product{took: time.Since(began), exit: &out.Code}
	after, err := openSet(ctx, env, args)
	if err != nil {
		return made, err
	}
	if err = after.liesIn(p.held); err == nil {
		err = p.takeNew(ctx, env, after, &made)
	}
	return made, errors.Join(err, after.root.Close())
}

// takeNew verifies and records the newest file that was not there before.
func (p *plan) takeNew(ctx context.Context, env checks.Env, after *set, made *product) error {
	at := slices.IndexFunc(after.files, func(f file) bool { return !p.knew(f) && !after.isLink(f) })
	if at < 0 {
		made.nothing = fmt.Sprintf("%s ended with exit code %d and made no new backup", p.command.Name, *made.exit)
		if *made.exit == 0 {
			made.nothing = p.command.Name + " says that all is well and made no new backup"
		}
		return nil
	}
	newest := after.files[at]
	var err error
	made.name, made.size = newest.name, newest.info.Size()
	if made.found, err = after.inspect(ctx, newest, inspectOptions{content: "auto", maxRatio: 500, name: newest.name}); err != nil {
		return err
	}
	if made.sum, _, err = after.sumOf(ctx, newest.name); err != nil || made.found.problem != "" {
		return err
	}
	return record{env.Token, made.sum, made.name, clock(env), "command " + p.command.Name}.write(p.set.root)
}

// isLink: scripts keep a link to the newest backup; it is not the backup.
func (s *set) isLink(f file) bool {
	info, err := s.root.Lstat(f.name)
	return err != nil || !info.Mode().IsRegular()
}

// knew reports whether a file was there before, under whatever name: scripts
// rename the backups they keep.
func (p *plan) knew(f file) bool {
	return slices.ContainsFunc(slices.Concat(p.set.files, p.set.growing), func(old file) bool {
		return os.SameFile(old.info, f.info) && old.info.Size() == f.info.Size() && old.info.ModTime().Equal(f.info.ModTime())
	})
}
