package nginx

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
)

// put writes a file of the test and the folders above it.
func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSourcesAreEveryFileThatNginxTakesIn(t *testing.T) {
	dir := t.TempDir()
	main := put(t, dir+"/nginx.conf", "load_module modules/a.so;\nevents {}\nhttp { include sites/*.conf; \"include\" 'extra.conf'; js_import /srv/x.js; }\n")
	put(t, dir+"/sites/one.conf", "include "+dir+"/deep/two.conf;access_by_lua_file /srv/a.lua; lua_package_path \"/srv/lua/?.lua;;\";")
	put(t, dir+"/deep/two.conf", "# nothing\n")
	got, err := sources(checks.Nginx{Config: main, Prefix: "/opt/nginx"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{main, "/opt/nginx/modules/a.so", dir + "/sites/one.conf", dir + "/extra.conf", "/srv/x.js", dir + "/deep/two.conf", "/srv/a.lua", "/srv/lua"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
}

// TestSourcesThatAreNotAllKnownAreAnError: what is not looked at could be of
// anybody.
func TestSourcesThatAreNotAllKnownAreAnError(t *testing.T) {
	many := strings.Builder{}
	for i := range maxSources {
		fmt.Fprintf(&many, "include /nowhere/%d.conf;\n", i)
	}
	for says, text := range map[string]string{
		"more than 2000 files": many.String(), "is larger than 4 MiB": strings.Repeat("#\n", maxSource),
	} {
		main := put(t, t.TempDir()+"/nginx.conf", text)
		if found, err := sources(checks.Nginx{Config: main}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d sources, %v, want %q", len(found), err, says)
		}
	}
}

// TestNginxIsNotRunOnAFileOfSomebodyElse: a configuration of root's that takes in
// a stranger's file would load the stranger's code as root.
func TestNginxIsNotRunOnAFileOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a file has to be given to another user: run as root")
		}
		t.Skip("needs root to give a file to another user")
	}
	for name, line := range map[string]string{
		"an include": "include DIR/theirs/x.conf;",
		"a pattern":  "include DIR/theirs/*;", "all but a letter": "include DIR/theirs/[!_]*.conf;", "a class by name": "include DIR/theirs/[[:alpha:]]*;",
		"a module": "load_module DIR/theirs/x.conf;",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ran := dir + "/ran"
			binary := put(t, dir+"/nginx", "#!/bin/sh\ntouch "+ran+"\n")
			theirs := put(t, dir+"/theirs/x.conf", "")
			main := put(t, dir+"/nginx.conf", strings.ReplaceAll(line, "DIR", dir)+"\nevents {}\n")
			if err := os.Chmod(binary, 0o755); err != nil {
				t.Fatal(err)
			}
			env := checks.Env{Exec: command.NewExec()}
			if _, err := dump(t.Context(), env, checks.Nginx{Config: main, Binary: binary}); strings.Contains(errorText(err), "refusing") {
				t.Fatalf("files of one's own: %v", err)
			}
			if err := os.Remove(ran); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(theirs, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			_, err := dump(t.Context(), env, checks.Nginx{Config: main, Binary: binary})
			if checks.ClassOf(err) != checks.Denied || !strings.Contains(err.Error(), theirs) {
				t.Errorf("got %v, want a refusal of %s", err, theirs)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Error("nginx was run all the same")
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
