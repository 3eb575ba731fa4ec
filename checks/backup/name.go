package backup

import (
	"path"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// The formats of a dump that is made here.
const (
	formatAuto   = "auto"
	formatCustom = "custom" // pg_dump's own, compressed: any part of it can be restored alone
	formatPlain  = "plain"  // SQL, gzipped
)

// extensions end the names of dumps, so that whoever reads them knows what
// they are.
var extensions = map[string]string{formatCustom: ".dump", formatPlain: ".sql.gz"}

// formatFor is the format that a set's pattern asks for, if the arguments
// leave it open.
func formatFor(asked, glob string) string {
	switch {
	case asked != formatAuto && asked != "":
		return asked
	case strings.HasSuffix(glob, ".gz"):
		return formatPlain
	}
	return formatCustom
}

// nameFor is a name that the pattern matches, with the time in the place of
// its first *: for db_backup_2*.sql.gz it is db_backup_20261123_030000.sql.gz.
func nameFor(glob, format string, at time.Time) (string, error) {
	ext, stamp := extensions[format], at.Format("20060102_150405")
	before, after, starred := strings.Cut(glob, "*")
	after = strings.ReplaceAll(after, "*", "")
	if after == "" {
		after = ext
	}
	name := before + overlapped(before, stamp) + after
	matches, err := path.Match(glob, name)
	switch {
	case err != nil:
		return "", checks.Failed(checks.Unconfigured, "pattern %q: %w", glob, err)
	case !starred || !matches || strings.ContainsAny(name, `/?[]\`) || isTemporary(name):
		return "", checks.Failed(checks.Unconfigured, "no name for a new backup can be made of the pattern %s: it needs a * where the time belongs", glob)
	case strings.HasSuffix(name, ".gz") != strings.HasSuffix(ext, ".gz"):
		return "", checks.Failed(checks.Unconfigured, "the pattern %s is not for dumps of format %s, whose names end in %s", glob, format, ext)
	}
	return name, nil
}

// overlapped is the stamp without the beginning of it that the text ends in:
// patterns often name the century, db_backup_2*.
func overlapped(before, stamp string) string {
	for n := 4; n > 0; n-- {
		if strings.HasSuffix(before, stamp[:n]) {
			return stamp[n:]
		}
	}
	return stamp
}
