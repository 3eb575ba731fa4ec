package postgres

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// mostLogEnd is how much of the log's end is read, in bytes.
const mostLogEnd = 64 << 10

// logEnd is the end of the server's log, as the site file names it: the log
// called postgres.
func (l lookout) logEnd(env checks.Env, lines int, f *checks.Findings) [][]fact.Value {
	source, ok := env.Site.Logs["postgres"]
	if !ok {
		f.Detail = append(f.Detail, "no log of the server: name it under logs: {postgres: {paths: […]}} in the site file")
		return nil
	}
	path, err := l.newest(source.Paths)
	if err != nil {
		f.Detail = append(f.Detail, "the server's log: "+err.Error())
		return nil
	}
	text, err := readEnd(path, mostLogEnd)
	if err != nil {
		f.Detail = append(f.Detail, "the server's log: "+err.Error())
		return nil
	}
	all := logLines(string(text), len(text) == mostLogEnd, continuation(path))
	var rows [][]fact.Value
	for _, line := range all[max(0, len(all)-lines):] {
		rows = append(rows, []fact.Value{fact.WordValue(line)})
	}
	return rows
}

// logLines are the lines of a log without literals: a statement that it quotes,
// or the parameters of one, may hold a password, and a literal may go over
// lines. The rest of a message that was cut off at its front is left out:
// nobody knows where its literals begin.
func logLines(text string, cut bool, goesOn func(string) bool) []string {
	all := strings.Split(strings.TrimRight(strings.ToValidUTF8(text, "\uFFFD"), "\n"), "\n")
	if cut {
		all = all[1:]
		for len(all) > 0 && goesOn(all[0]) {
			all = all[1:]
		}
	}
	var told []string
	for len(all) > 0 {
		end := 1
		for end < len(all) && goesOn(all[end]) {
			end++
		}
		message := strings.Join(all[:end], "\n")
		told = append(told, strings.Split(literal.ReplaceAllString(redactDollar(message), "'…'"), "\n")...)
		all = all[end:]
	}
	return told
}

// stamped is how a record of a csvlog begins.
var stamped = regexp.MustCompile(`^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}`)

// continuation tells the further lines of a message: the server indents them by
// a tab, and in a csvlog they stand as they are, within quotes.
func continuation(path string) func(string) bool {
	if strings.HasSuffix(path, ".csv") {
		return func(line string) bool { return !stamped.MatchString(line) }
	}
	return func(line string) bool { return strings.HasPrefix(line, "\t") }
}

func (l lookout) newest(patterns []string) (string, error) {
	best, at := "", time.Time{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("%s: %w", pattern, err)
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err == nil && info.Mode().IsRegular() && info.ModTime().After(at) && !strings.HasSuffix(path, ".gz") {
				best, at = path, info.ModTime()
			}
		}
	}
	if best == "" {
		return "", fmt.Errorf("no file like %s: %w", strings.Join(patterns, ", "), fs.ErrNotExist)
	}
	return best, nil
}

// readEnd reads at most so many bytes before the end of a file.
func readEnd(path string, most int64) ([]byte, error) {
	tail, err := hostfs.Tail(path, most)
	return tail.Bytes, err
}
