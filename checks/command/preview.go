package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// interpreters run the file they are given, which is then pinned as the
// program is.
var interpreters = []string{"sh", "bash", "dash", "zsh", "ksh", "python", "perl", "ruby", "node", "php"}

// maxPinned bounds the files that are hashed for a preview.
const maxPinned = 1 << 30

// preview shows what would be started. The fingerprint is that of the files and
// of the arguments: a script changed since the preview is not run.
func preview(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	c, err := entry(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	p, err := find(c.Argv[0])
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target: c.Name,
		Note:   fmt.Sprintf("%s, %d arguments", p.Path, len(c.Argv)-1),
		Locks:  []string{"command:" + p.Path}, // names are a site's own, programs the host's
		Facts:  []fact.Fact{fact.Number("danger", max(c.Danger, 1))},
		Detail: []string{"runs " + quoted(p.Path, c.Argv[1:])},
	}
	identity := sha256.New()
	fmt.Fprintf(identity, "%q", c.Argv)
	for _, file := range pinned(p, c.Argv[1:]) {
		line, err := describe(ctx, file, identity)
		if err != nil {
			return checks.Findings{}, err
		}
		f.Detail = append(f.Detail, line)
	}
	f.Detail = append(f.Detail, cautions(p, c)...)
	f.Fingerprint = hex.EncodeToString(identity.Sum(nil)) + " " + p.Path
	return f, nil
}

func quoted(path string, args []string) string {
	words := []string{strconv.Quote(path)}
	for _, arg := range args {
		words = append(words, strconv.Quote(arg))
	}
	return strings.Join(words, " ")
}

// pinned are the files whose content decides what is done: the program and,
// for an interpreter, the first argument that is a file.
func pinned(p program, args []string) []string {
	files := []string{p.File}
	if !interprets(p) {
		return files
	}
	for _, arg := range args {
		if info, err := os.Stat(arg); filepath.IsAbs(arg) && err == nil && info.Mode().IsRegular() {
			return append(files, arg)
		}
	}
	return files
}

// interprets reports whether a program is an interpreter, versioned or not:
// python3.11 is one.
func interprets(p program) bool {
	name := strings.TrimRight(filepath.Base(p.File), "0123456789.")
	for _, i := range interpreters {
		if i == name || i == filepath.Base(p.Path) {
			return true
		}
	}
	return false
}

// describe hashes a file and says whose it is. A script given to an interpreter
// is held to the same as a program.
func describe(ctx context.Context, path string, identity io.Writer) (string, error) {
	rule, err := owner.Current()
	if err != nil {
		return "", err
	}
	f, err := rule.Open(path)
	if err != nil {
		return "", distrusted(path, "", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("pinning %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPinned {
		return "", checks.Failed(checks.Limit, "%s is not a regular file of up to %s", path, fact.FormatBytes(maxPinned))
	}
	if err := rule.Check(filepath.Dir(path)); err != nil {
		return "", distrusted(path, "its folder: ", err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &reader{ctx, f}); err != nil {
		return "", fmt.Errorf("pinning %s: %w", path, err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	fmt.Fprintf(identity, "%s %s\n", hash, path)
	return fmt.Sprintf("%s: owner %s, mode %04o, sha256 %s", path, ownerName(info), info.Mode().Perm(), hash), nil
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func ownerName(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func cautions(p program, c checks.Command) []string {
	var lines []string
	if os.Geteuid() == 0 {
		lines = append(lines, "careful: it runs as root")
	}
	if interprets(p) && len(c.Argv) > 1 && strings.HasPrefix(c.Argv[1], "-") {
		lines = append(lines, "careful: "+filepath.Base(p.Path)+" is given what it runs as an argument")
	}
	return lines
}
