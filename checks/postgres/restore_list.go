package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// maxList bounds the table of contents of an archive.
const maxList = 64 << 20

// listFile in the action's directory is the table of contents without what is
// passed over.
const listFile = "restore-list"

// listEntry finds the entries of extensions and of their comments: "3; 3079 16384
// EXTENSION - pg_trgm" and "3456; 0 0 COMMENT - EXTENSION pg_trgm".
var listEntry = regexp.MustCompile(`^\d+; \d+ \d+ (?:(EXTENSION) - |COMMENT - EXTENSION )"?([^"\s]+)"?`)

// archiveArgs lets pg_restore pass over what a plain dump's reader passes over:
// comments on extensions, and extensions that are left out.
func (p *restorePlan) archiveArgs(ctx context.Context, env checks.Env, args []string) ([]string, error) {
	list, err := p.dump.list(ctx, env, p.program)
	if err != nil {
		return nil, err
	}
	var kept bytes.Buffer
	for line := range strings.Lines(list) {
		m := listEntry.FindStringSubmatch(line)
		if m == nil || m[1] != "" && !p.dump.leaves(m[2]) {
			kept.WriteString(line)
		}
	}
	path := filepath.Join(env.Dir, listFile)
	if err := os.WriteFile(path, kept.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the list of what is restored: %w", err)
	}
	args = append(args, "--use-list="+path)
	if p.dump.format == directoryDump {
		args = append(args, p.dump.path)
	}
	return args, nil
}

// list is the archive's table of contents.
func (d *dumpFile) list(ctx context.Context, env checks.Env, p Program) (string, error) {
	call := checks.Call{Argv: []string{p.Path, "--list"}, Max: maxList}
	if d.format == directoryDump {
		call.Argv = append(call.Argv, d.path)
	} else {
		content, err := d.open(ctx, nil)
		if err != nil {
			return "", err
		}
		call.Stdin = content
	}
	out, err := env.Exec(ctx, call)
	switch {
	case err != nil:
		return "", fmt.Errorf("listing %s: %w", d.path, err)
	case out.Code != 0:
		return "", checks.Failed(checks.Parse, "listing %s: %s ended with exit code %d: %s", d.path, p, out.Code, oneLine(string(out.Stderr)))
	case out.Truncated:
		return "", checks.Failed(checks.Limit, "the table of contents of %s is larger than %d MiB", d.path, maxList>>20)
	}
	return string(out.Stdout), nil
}
