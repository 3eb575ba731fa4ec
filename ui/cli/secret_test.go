package cli_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// formsOf are ways in which a secret may stand in a text.
func formsOf(t *testing.T, secret string) map[string]string {
	t.Helper()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"plain": secret, "query": url.QueryEscape(secret), "hex": hex.EncodeToString([]byte(secret)), "json": strings.Trim(string(quoted), `"`),
		"shell": strings.ReplaceAll(secret, "'", `'\''`), "base64": base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64, one byte on": base64.StdEncoding.EncodeToString([]byte("x" + secret)), "base64, two bytes on": base64.StdEncoding.EncodeToString([]byte("xy" + secret)),
		"base64url": base64.URLEncoding.EncodeToString([]byte(secret)), "lower-case percent": strings.NewReplacer("/", "%2f", "'", "%27", "+", "%2b", `"`, "%22", "?", "%3f").Replace(secret),
		"JSON of others": strings.NewReplacer("/", `\/`, `"`, `\"`, "'", `\u0027`).Replace(secret), "HTML": html.EscapeString(secret),
		"backslashes":     strings.NewReplacer("/", `\/`, "'", `\'`, "+", `\+`, `"`, `\"`, "~", `\~`, "?", `\?`, "-", `\-`).Replace(secret),
		"base64 in lines": strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(secret)), "Mt", "M\nt"),
		"base64 of JSON":  base64.StdEncoding.EncodeToString([]byte(`{"password":` + string(quoted) + `}`)),
	}
}

// TestAPlantedSecretIsInNoFileOfARealRun: the real program does a real action
// whose command prints the password of the site's database in many forms, and
// people type it. It stands in no file of the state directory, the logs of the
// supervisor and of the step among them, and in nothing that is told of the run.
func TestAPlantedSecretIsInNoFileOfARealRun(t *testing.T) {
	const secret = `hunter2-s3cret/val'ue+"x~~?`
	w := newWard(t, "cat $(dirname $0)/forms; cat $(dirname $0)/forms >&2; exit 3")
	forms := formsOf(t, secret)
	var everything strings.Builder
	for _, form := range forms {
		everything.WriteString(form + "\n")
	}
	site, err := os.ReadFile(filepath.Join(w.dir, "opsdeck.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"forms": everything.String(), "password": secret + "\n",
		"opsdeck.yaml": string(site) + "connections: {postgres: {main: {dsn: \"host=127.0.0.1 port=1 user=ops dbname=shop\", password: \"${file:" + filepath.Join(w.dir, "password") + "}\"}}}\n",
	} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.serve("")
	s := w.open()
	w.begin(s)
	it := w.settled(s)
	if a, _ := it.Latest(); it.State != runbooks.Failed || a.Outcome == nil || a.Outcome.Output == 0 {
		t.Fatalf("the command did not print: %s %+v", it.State, a.Outcome)
	}
	for _, err := range []error{s.Note("", everything.String()), s.Note("count", everything.String()), s.Sign("", everything.String(), runbooks.Hash{}), s.Abort(everything.String())} {
		if err != nil {
			t.Error(err)
		}
	}
	told := map[string]string{}
	for _, args := range [][]string{{"report", "last"}, {"report", "last", "--format", "html"}, {"report", "last", "--format", "json"}, {"show", "last"}, {"show", "last", "--json"}, {"history"}, {"doctor"}, {"check", "pg.ping"}} {
		out, _ := exec.Command(w.bin, append([]string{"--site", filepath.Join(w.dir, "opsdeck.yaml"), "--state", filepath.Join(w.dir, "state")}, args...)...).CombinedOutput() // some of it is not well, and says so by its code
		told["opsdeck "+strings.Join(args, " ")] = string(out)
	}
	for _, name := range []string{"opsdeck report last", "opsdeck report last --format html", "opsdeck report last --format json"} {
		if !strings.Contains(told[name], "redacted") {
			t.Errorf("%s shows no mark: the secret may not have come this far", name)
		}
	}
	files := 0
	if err := filepath.WalkDir(w.state(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		files++
		told[path] = string(raw)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"journal.db", "output", "result.json", "supervisor.log"} {
		if !strings.Contains(strings.Join(namesOf(told), " ")+" ", must+" ") {
			t.Errorf("no %s was looked at", must)
		}
	}
	for name, text := range told {
		for form, hidden := range forms {
			if strings.Contains(text, hidden) {
				t.Errorf("%s holds the secret, %s", name, form)
			}
		}
	}
	t.Logf("%d files and %d answers looked at, in %d forms", files, len(told)-files, len(forms))
}

func namesOf(told map[string]string) []string {
	var names []string
	for name := range told {
		names = append(names, name)
	}
	return names
}
