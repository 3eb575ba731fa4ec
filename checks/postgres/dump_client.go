package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Program is one of PostgreSQL's own client programs: pg_dump, pg_restore,
// psql.
type Program struct {
	Path         string
	Major, Minor int
}

// String is the program as a person knows it: "pg_dump 15.18".
func (p Program) String() string {
	return fmt.Sprintf("%s %d.%d", filepath.Base(p.Path), p.Major, p.Minor)
}

// programFolders are where distributions keep the programs of every version.
// What they put into /usr/bin may be a wrapper that picks one by itself.
var programFolders = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*"}

// FindProgram finds a client program for a server of a major version: one of
// that version, or else the next newer one. An older one is refused: it does
// not know what the server has.
func FindProgram(ctx context.Context, run checks.Exec, name string, major int) (Program, error) {
	if run == nil {
		return Program{}, checks.Failed(checks.Unconfigured, "no commands can be run here: %s is needed", name)
	}
	var found []Program
	var problems []error
	for _, path := range programPaths(name) {
		p, err := versionOf(ctx, run, path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		found = append(found, p)
	}
	slices.SortStableFunc(found, func(a, b Program) int { return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(b.Minor, a.Minor)) })
	for _, p := range found {
		if p.Major >= major {
			return p, nil
		}
	}
	if len(found) > 0 {
		return Program{}, checks.Failed(checks.Missing, "%s is older than the server, which is of version %d: install the client programs of version %d", found[len(found)-1], major, major)
	}
	return Program{}, checks.Failed(checks.Missing, "no %s here: install the client programs of PostgreSQL %d: %w", name, major, errors.Join(problems...))
}

func programPaths(name string) []string {
	var paths []string
	for _, folder := range programFolders {
		found, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil {
			continue // the patterns are constants; none is malformed
		}
		paths = append(paths, found...)
	}
	return append(paths, name) // looked up by whoever runs it
}

var programVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

func versionOf(ctx context.Context, run checks.Exec, path string) (Program, error) {
	out, err := run(ctx, checks.Call{Argv: []string{path, "--version"}, Max: 4096})
	if err != nil {
		return Program{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	m := programVersion.FindSubmatch(out.Stdout)
	if out.Code != 0 || m == nil {
		return Program{}, checks.Failed(checks.Parse, "%s --version says %q", path, oneLine(string(out.Stdout)+string(out.Stderr)))
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return Program{}, checks.Failed(checks.Parse, "version of %s: %w", path, err)
	}
	minor, err := strconv.Atoi("0" + string(m[2])) // a beta has none
	if err != nil {
		return Program{}, checks.Failed(checks.Parse, "version of %s: %w", path, err)
	}
	return Program{path, major, minor}, nil
}

// Call is a call of a client program against the server, as the connection
// says: the connection string without its password in argv, the password in a
// file in env.Dir that only the program's user can read, the token as the name
// under which the server lists the session. A database other than "" replaces
// that of the connection.
func (s *Server) Call(env checks.Env, p Program, database string, args ...string) (checks.Call, error) {
	dsn, err := s.clientDSN(env.Token, database)
	if err != nil {
		return checks.Call{}, err
	}
	call := checks.Call{
		Argv: append([]string{p.Path, "--no-password", "--dbname=" + dsn}, args...),
		Env:  s.clientEnv(),
	}
	if s.config.Password == "" {
		return call, nil
	}
	file, err := s.passwordFile(env.Dir)
	if err != nil {
		return checks.Call{}, err
	}
	call.Env = append(call.Env, "PGPASSFILE="+file)
	return call, nil
}

// keywordPassword finds a password in a connection string of keywords.
var keywordPassword = regexp.MustCompile(`(?i)(^|[\s?&])(ssl)?password\s*=`)

// clientDSN is the connection string with more said behind it: the last word
// counts, in both of libpq's forms.
func (s *Server) clientDSN(token, database string) (string, error) {
	dsn := s.config.ConnString()
	isURL := strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
	if hasPassword(dsn, isURL) {
		return "", checks.Failed(checks.Unconfigured, "postgres connection %q: every user of this host could read a password in the dsn on the command line of PostgreSQL's programs: move it to password:", s.name)
	}
	more := map[string]string{"application_name": token, "dbname": database}
	for _, name := range []string{"application_name", "dbname"} {
		value := more[name]
		switch {
		case value == "":
		case !isURL:
			dsn += " " + name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
		case strings.Contains(dsn, "?"):
			dsn += "&" + name + "=" + url.PathEscape(value)
		default:
			dsn += "?" + name + "=" + url.PathEscape(value)
		}
	}
	return dsn, nil
}

func hasPassword(dsn string, isURL bool) bool {
	if keywordPassword.MatchString(dsn) {
		return true
	}
	if !isURL {
		return false
	}
	_, rest, _ := strings.Cut(dsn, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, ok := strings.Cut(authority, "@")
	return ok && strings.Contains(user, ":")
}

// clientEnv says what the connection string leaves open, as pgx resolved it.
func (s *Server) clientEnv() []string {
	env := []string{
		"PGHOST=" + s.config.Host, "PGPORT=" + strconv.Itoa(int(s.config.Port)),
		"PGUSER=" + s.config.User, "PGDATABASE=" + cmp.Or(s.config.Database, s.config.User), "PGCONNECT_TIMEOUT=10",
	}
	for _, name := range []string{"PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// passwordFile writes the password where libpq looks for it.
func (s *Server) passwordFile(dir string) (string, error) {
	if dir == "" {
		return "", checks.Failed(checks.Internal, "no private directory for the password file")
	}
	if strings.ContainsAny(s.config.Password, "\n\r\x00") {
		return "", checks.Failed(checks.Unconfigured, "postgres connection %q: a password with a line break cannot be given to PostgreSQL's programs", s.name)
	}
	file, err := os.CreateTemp(dir, "pgpass-") // 0600 and new: nobody else's
	if err != nil {
		return "", fmt.Errorf("writing the password file: %w", err)
	}
	_, err = file.WriteString("*:*:*:*:" + strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(s.config.Password) + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("writing the password file: %w", err)
	}
	return file.Name(), nil
}

// RemovePasswordFile removes what Call wrote.
func RemovePasswordFile(call checks.Call) error {
	for _, pair := range call.Env {
		if path, ok := strings.CutPrefix(pair, "PGPASSFILE="); ok {
			return os.Remove(path)
		}
	}
	return nil
}

// saidLines is how much of what a client program says is passed on.
const saidLines = 5

// isFailure: a line in which the server or the program tells what failed.
func isFailure(line string) bool {
	return strings.Contains(line, "ERROR:") || strings.Contains(line, "FATAL:")
}

// Said is what a client program said on standard error of its failure, or last,
// on one line, without the connection's password.
func (s *Server) Said(out checks.Output) string {
	lines := strings.Split(strings.TrimSpace(string(out.Stderr)), "\n")
	from := max(0, len(lines)-saidLines)
	if failed := slices.IndexFunc(lines, isFailure); failed >= 0 { // what follows it may be a long context
		from = failed
	}
	text := oneLine(strings.Join(lines[from:min(len(lines), from+saidLines)], "; "))
	if text == "" {
		text = "nothing on standard error"
	}
	return withoutPassword(text, s.config.Password)
}

// Misdone is the error of a client program that did not end well, with the
// class that its words give it.
func (s *Server) Misdone(p Program, out checks.Output) error {
	said := s.Said(out)
	class := checks.Other
	for _, known := range []struct {
		class checks.Class
		words string
	}{
		{checks.Auth, "authentication failed"}, {checks.Auth, "no password supplied"}, {checks.Auth, "pg_hba.conf"},
		{checks.Denied, "permission denied"}, {checks.Denied, "must be owner"}, {checks.Refused, "Connection refused"},
		{checks.Timeout, "canceling statement"}, {checks.Timeout, "timeout expired"}, {checks.DNS, "could not translate host name"},
	} {
		if strings.Contains(said, known.words) {
			class = known.class
			break
		}
	}
	how := "exit code " + strconv.Itoa(out.Code)
	if out.Signal != "" {
		how = "signal " + out.Signal
	}
	return checks.Failed(class, "%s ended with %s: %s", p, how, said)
}
