package hostfs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ownWork is what a package outside of hostfs does not do by itself, by import
// path: it reads half of a file, waits for a pipe, or follows a link out of a
// folder.
var ownWork = map[string][]string{
	"io": {"LimitReader"},
	"os": {
		"ReadFile", "Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "WriteFile", "CopyFS",
		"Rename", "Remove", "RemoveAll", "Link", "Symlink", "Truncate",
		"Chmod", "Chown", "Lchown", "Chtimes", "Mkdir", "MkdirAll", "MkdirTemp",
	},
	"io/ioutil":             {"ReadFile", "WriteFile", "TempFile", "TempDir"},
	"syscall":               systemCalls,
	"golang.org/x/sys/unix": systemCalls,
}

// systemCalls reach a file by its path.
var systemCalls = []string{
	"Open", "Openat", "Openat2", "Creat", "Unlink", "Unlinkat", "Rmdir", "Rename", "Renameat", "Renameat2",
	"Link", "Linkat", "Symlink", "Symlinkat", "Truncate", "Mkdir", "Mkdirat", "Mknod", "Mknodat", "Mkfifo", "Mkfifoat",
	"Chmod", "Fchmodat", "Chown", "Lchown", "Fchownat", "Utime", "Utimes", "UtimesNano", "UtimesNanoAt", "Futimesat",
	"Setxattr", "Lsetxattr", "Removexattr", "Lremovexattr",
}

// exceptions are the files that do it all the same, each with its reason.
var exceptions = map[string]string{
	"checks/backup/fresh.go":          "compares the size of a backup in its second place; nothing is read or written",
	"checks/backup/set.go":            "streams backups; what is written goes by the held folder of folder.go",
	"checks/command/leftovers.go":     "lists /proc",
	"checks/core/crash/crash.go":      "appends to the program's own log",
	"checks/core/owner/make.go":       "makes what is missing of a way in the folders that walk.go holds",
	"checks/core/owner/walk.go":       "goes down a path by held folders and looks at each; hostfs knows no rule of ownership",
	"checks/core/scratch/process.go":  "reads a line of /proc",
	"checks/core/scratch/scratch.go":  "the program's own temporary folder",
	"checks/docker/stats.go":          "decodes one JSON value of a stream: half of one is an error",
	"checks/logs/open.go":             "streams logs of any size from a position on",
	"checks/maintenance/outside.go":   "discards the body of an answer",
	"checks/notify/webhook.go":        "shows the first line of an answer",
	"checks/npm/lock.go":              "writes a copy into the action's own folder",
	"checks/postgres/dump_client.go":  "a file for pg_dump in the action's own folder",
	"checks/postgres/restore_list.go": "a list for pg_restore in the action's own folder",
	"checks/rotation/prepare.go":      "a file for logrotate in the action's own folder",
	"checks/site/detect.go":           "lists folders",
	"checks/site/site.go":             "reads what the rule of ownership has opened; more than the limit is an error",
	"checks/site/values.go":           "reads what the rule of ownership has opened; more than the limit is an error",
	"checks/system/process.go":        "lists /proc",
	"checks/tlscert/target.go":        "bounds a dialogue with a server",
	"checks/web/body.go":              "says itself that an answer was cut",
	"runbooks/identity/proc.go":       "reads /proc of a peer by a descriptor that is held",
	"runbooks/journal/ballast.go":     "the journal's own state",
	"runbooks/journal/copy.go":        "the journal's own state",
	"runbooks/journal/create.go":      "the journal's own state",
	"runbooks/journal/head.go":        "the journal's own state",
	"runbooks/journal/lock.go":        "the journal's own state",
	"runbooks/journal/log.go":         "the journal's own state",
	"runbooks/lock/folder.go":         "the folder of the locks: made, then looked at on its descriptor",
	"runbooks/lock/holder.go":         "reads /proc of a lock's holder",
	"runbooks/lock/lock.go":           "files of the held folder of the locks, made without a name and linked",
	"runbooks/step/file.go":           "the step's own state, of which the owner is looked at on the open file",
	"runbooks/step/folder.go":         "the step's own folder",
	"runbooks/step/output.go":         "the step's own state",
	"runbooks/step/prune.go":          "the step's own state",
	"runbooks/step/spawn.go":          "bounds what a child says on a pipe",
	"runbooks/supervisor/listen.go":   "the supervisor's own socket and lock",
	"runbooks/supervisor/silent.go":   "reads a line of /proc",
	"runbooks/supervisor/spawn.go":    "bounds what a child says on a pipe, and the supervisor's own log",
	"ui/cli/deck.go":                  "appends to the program's own log",
	"ui/cli/footprint.go":             "streams a file of /proc",
	"ui/run.go":                       "opens the terminal",
}

// TestFilesAreReadAndChangedByThisPackageOnly, but for a list of exceptions,
// none of which is out of date.
func TestFilesAreReadAndChangedByThisPackageOnly(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			if forTests(rel) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(rel) == ".go" && !strings.HasSuffix(rel, "_test.go") {
			if calls := ownCalls(t, path, nil); len(calls) > 0 {
				found[rel] = calls
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Sorted(maps.Keys(found)) {
		if exceptions[file] == "" {
			t.Errorf("%s calls %s: use package hostfs", file, strings.Join(found[file], ", "))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(exceptions)) {
		if len(found[file]) == 0 {
			t.Errorf("%s needs no exception any more", file)
		}
	}
}

// forTests are folders of what is not part of the program that works on a host:
// tests, and the sandbox, which makes and removes servers of its own.
func forTests(dir string) bool {
	base := filepath.Base(dir)
	return base == "testdata" || strings.HasSuffix(base, "test") || dir == "checks/sandbox" || dir == "checks/core/hostfs" ||
		strings.HasPrefix(base, ".") && base != "."
}

// ownCalls are the calls of a file that belong into hostfs, whatever name the
// file gives to a package that it imports.
func ownCalls(t *testing.T, path string, source any) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]string{}
	var calls []string
	for _, i := range file.Imports {
		from := strings.Trim(i.Path.Value, `"`)
		name := from[strings.LastIndexByte(from, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imported[name] = from
		if name == "." && ownWork[from] != nil {
			calls = append(calls, "all of "+from)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := call.X.(*ast.Ident); ok && slices.Contains(ownWork[imported[pkg.Name]], call.Sel.Name) {
			calls = append(calls, imported[pkg.Name]+"."+call.Sel.Name)
		}
		return true
	})
	return calls
}

// TestOwnCallsAreFoundUnderAnyName of a package, and by the system call, too.
func TestOwnCallsAreFoundUnderAnyName(t *testing.T) {
	for source, want := range map[string]string{
		`import "os"; var _ = os.ReadFile`:                              "os.ReadFile",
		`import "os"; func f() { os.Chmod("x", 0) }`:                    "os.Chmod",
		`import files "os"; func f() { files.Remove("x") }`:             "os.Remove",
		`import . "os"; func f() { Remove("x") }`:                       "all of os",
		`import "syscall"; func f() { syscall.Open("x", 0, 0) }`:        "syscall.Open",
		`import "golang.org/x/sys/unix"; func f() { unix.Unlink("x") }`: "golang.org/x/sys/unix.Unlink",
		`import "os"; func f() { os.Getpid() }`:                         "",
		`import os "example.org/os"; func f() { os.Remove("x") }`:       "",
	} {
		if got := strings.Join(ownCalls(t, "x.go", "package x; "+source), ", "); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}
