package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var params = []checks.Param{
	{Name: "file", Type: checks.TextParam, Names: "files", Doc: "file of the site file, with all that is expected of it there; instead of the parameters below", Example: "db-maintenance"},
	{Name: "path", Type: checks.TextParam, Check: checkPath, Doc: "absolute path of the file", Example: "/usr/local/bin/db-maintenance.sh"},
	{Name: "contains", Type: checks.TextsParam, Doc: "texts that must all be in it", Example: "set -euo pipefail"},
	{Name: "absent", Type: checks.TextsParam, Doc: "texts none of which may be in it", Example: "admin@yourdomain.com"},
	{Name: "matches", Type: checks.TextParam, Check: checkPattern, Doc: "regular expression that must match; ^ and $ are those of a line", Example: `^server_tokens\s+off;`},
	{Name: "sha256", Type: checks.TextParam, Check: checkHash, Doc: "the file's expected SHA-256, in hex"},
	{Name: "mode", Type: checks.TextParam, Check: checkMode, Doc: "expected permissions in octal, in quotes", Example: "0755"},
	{Name: "owner", Type: checks.TextParam, Doc: "expected owner, by name or number", Example: "root"},
	{Name: "follow", Type: checks.BoolParam, Default: true, Doc: "whether the file may be a symbolic link"},
}

// Content compares a file with what is expected of it.
var Content = module(checks.Module{
	Name:   "file.content",
	Doc:    "Compares a file's content, mode and owner with what is expected, without showing what it says",
	Params: params,
	Facts: []fact.Spec{
		{Name: "present", Type: fact.Bool, Doc: "there is such a file"},
		{Name: "matched", Type: fact.Bool, Optional: true, Doc: "contains, absent, matches and sha256 all hold; absent if none is given"},
		{Name: "matches", Type: fact.Count, Optional: true, Doc: "how often the regular expression matches"},
		{Name: "mode_ok", Type: fact.Bool, Optional: true, Doc: "the permissions are the expected ones"},
		{Name: "owner_ok", Type: fact.Bool, Optional: true, Doc: "the owner is the expected one"},
		{Name: "size", Type: fact.Bytes, Optional: true, Doc: "size"},
		{Name: "age", Type: fact.Duration, Optional: true, Doc: "time since it was last written"},
		{Name: "mode", Type: fact.Text, Optional: true, Doc: "permissions, in octal"},
		{Name: "owner", Type: fact.Text, Optional: true, Doc: "owner's name, or number if he has none"},
		{Name: "sha256", Type: fact.Text, Optional: true, Doc: "SHA-256 of the content"},
	},
	Warn:    "mode_ok == false or owner_ok == false",
	Fail:    "present == false or matched == false",
	Source:  "guide: fail missing or changed, warn drift",
	Every:   10 * time.Minute,
	Example: "use: file.content\nwith:\n  path: /usr/local/bin/db-maintenance.sh\n  contains: [set -euo pipefail]\n  mode: \"0755\"\n  owner: root",
	Run:     content,
})

func checkPath(value any) error {
	if path := fmt.Sprint(value); !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%q is not an absolute path", path)
	}
	return nil
}

// compile gives a pattern the line anchors that people expect from grep.
func compile(pattern string) (*regexp.Regexp, error) { return regexp.Compile("(?m:" + pattern + ")") }

func checkPattern(value any) error {
	if _, err := compile(fmt.Sprint(value)); err != nil {
		return fmt.Errorf("not a regular expression: %w", err)
	}
	return nil
}

func checkHash(value any) error {
	raw, err := hex.DecodeString(fmt.Sprint(value))
	if err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("not the 64 hex digits of a SHA-256")
	}
	return nil
}

var octal = regexp.MustCompile(`^0[0-7]{3,4}$`)

// checkMode wants the leading zero: YAML turns a bare 0644 into 420, which is
// octal too and means something else.
func checkMode(value any) error {
	if text := fmt.Sprint(value); !octal.MatchString(text) {
		return fmt.Errorf("%q is not an octal mode in quotes, such as \"0644\"", text)
	}
	return nil
}

func content(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Root == "" {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	args, err := wanted(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	path := args.Text("path")
	file, err := read(env.Root, path, args.Bool("follow"))
	f := checks.Findings{Target: path}
	if errors.Is(err, fs.ErrNotExist) {
		f.Note = "there is no " + path
		f.Facts = []fact.Fact{fact.Flag("present", false)}
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.Facts = append(file.facts(now(env)), fact.Flag("present", true))
	e, err := expected(args)
	if err != nil {
		return f, err
	}
	wrong := e.compare(file, &f)
	f.Detail = wrong
	f.Note = fmt.Sprintf("%s, mode %s, owner %s", fact.FormatBytes(float64(len(file.content))), file.mode, file.owner)
	if len(wrong) > 0 {
		f.Note = wrong[0]
	}
	return f, nil
}

// wanted are the arguments themselves, or those of the site file's entry that
// they name.
func wanted(env checks.Env, args checks.Args) (checks.Args, error) {
	name := args.Text("file")
	if name == "" {
		if args.Text("path") == "" {
			return args, checks.Failed(checks.Unconfigured, "neither a path nor a file of the site file is given")
		}
		return args, nil
	}
	entry, ok := env.Site.Files[name]
	if !ok {
		return args, checks.NotHere{What: fmt.Sprintf("%q under files", name)}
	}
	bound, problems := checks.Bind(&checks.Module{Name: "file.content", Params: params}, entry.With)
	if len(problems) > 0 {
		return args, checks.Failed(checks.Unconfigured, "%s: %w", entry.Origin, problems[0])
	}
	return bound, nil
}

func now(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
