package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// installed is what dpkg's database says: by name, and by name:architecture,
// the versions that are fully installed; and what is stuck in between.
type installed struct {
	versions map[string][]string
	broken   []string
}

// query asks for all packages; one question, and no package that is not there
// can fail it.
func query(ctx context.Context, env checks.Env) (installed, error) {
	var text bytes.Buffer
	argv := []string{"dpkg-query", "-W", "-f", `${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n`}
	out, err := env.Exec(ctx, checks.Call{Argv: argv, Env: environment, Stdout: &text, Max: maxApt})
	switch {
	case checks.ClassOf(err) == checks.Missing:
		return installed{}, checks.NotHere{What: "no dpkg-query: packages are not kept by dpkg here"}
	case err != nil:
		return installed{}, fmt.Errorf("asking dpkg what is installed: %w", err)
	case out.Code != 0:
		return installed{}, checks.Failed(refusal(out), "dpkg-query: exit %d: %s", out.Code, lastLine(out))
	}
	return parseInstalled(text.String())
}

func parseInstalled(text string) (installed, error) {
	in := installed{versions: map[string][]string{}}
	for l := range strings.Lines(text) {
		fields := strings.Split(strings.TrimRight(l, "\n"), "\t")
		if len(fields) != 4 || len(fields[0]) < 2 {
			return in, checks.Failed(checks.Parse, "dpkg-query: %.120q is not understood", l)
		}
		name, arch, version := fields[1], fields[2], fields[3]
		switch fields[0][1] {
		case 'i':
			in.versions[name] = append(in.versions[name], version)
			in.versions[name+":"+arch] = append(in.versions[name+":"+arch], version)
		case 'n', 'c': // not installed, or only its configuration is
		default:
			in.broken = append(in.broken, name)
		}
	}
	if len(in.versions) == 0 {
		return in, checks.Failed(checks.NoData, "dpkg-query names no package")
	}
	return in, nil
}

// held says who holds dpkg's lock, "" if none does. apt itself says it too, but
// only when it is too late for a preview.
func held(env checks.Env) (who string, err error) {
	info, err := os.Stat(filepath.Join(env.Root, "var/lib/dpkg/lock-frontend"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking who holds the lock of dpkg: %w", err)
	}
	lock, err := hostfs.InfoOf(info)
	if err != nil {
		return "", err
	}
	locks, err := read(env, "proc/locks")
	if err != nil {
		return "", err
	}
	for _, l := range lines(locks) {
		// 1: POSIX  ADVISORY  WRITE 1234 fd:00:398608 0 EOF
		f := strings.Fields(l)
		if len(f) < 6 || f[1] != "POSIX" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(lock.ID.Ino, 10)) {
			continue
		}
		name, err := read(env, filepath.Join("proc", f[4], "comm"))
		if err != nil {
			name = "unknown"
		}
		return fmt.Sprintf("process %s (%s)", f[4], name), nil
	}
	return "", nil
}

// listsAge is how long ago the package lists were fetched; known is false if
// they never were. The lists themselves carry the server's times, so what tells
// are the marks that fetching leaves.
func listsAge(env checks.Env) (age time.Duration, known bool, err error) {
	for _, name := range []string{"var/lib/apt/periodic/update-success-stamp", "var/lib/apt/lists/partial"} {
		info, err := os.Stat(filepath.Join(env.Root, name))
		if err == nil {
			return now(env).Sub(info.ModTime()), true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, false, fmt.Errorf("looking for the age of the package lists: %w", err)
		}
	}
	return 0, false, nil
}
