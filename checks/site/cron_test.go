package site

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestCronJobsAndLogrotateAreReadAndBadOnesRefused(t *testing.T) {
	reg, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (*Site, Problems) {
		return Parse("opsdeck.yaml", []byte("schema: 1\nsite: x\n"+text), reg, func(string) string { return "" })
	}
	s, problems := read("cron:\n  a: {command: /bin/a, schedule: \"0 3 * * *\", user: root, log: /var/log/a.log, success: done}\nlogrotate: {config: /etc/logrotate.d/lms, expect: [daily]}\n")
	if s == nil {
		t.Fatal(problems)
	}
	f := s.Facts()
	if a := f.Cron["a"]; a.Command != "/bin/a" || a.Schedule != "0 3 * * *" || a.User != "root" || a.Log != "/var/log/a.log" || a.Success != "done" {
		t.Errorf("%+v", a)
	}
	if l := f.Logrotate; l.Config != "/etc/logrotate.d/lms" || len(l.Expect) != 1 || l.Origin == "" {
		t.Errorf("%+v", l)
	}
	for text, want := range map[string]string{
		"cron:\n  a: {schedule: \"0 3 * * *\"}\n":               "command",
		"cron:\n  a: {command: /a, schedule: \"0 25 * * *\"}\n": "schedule",
		"cron:\n  a: {command: /a, log: a.log}\n":               "absolute path",
		"cron:\n  a: {command: /a, success: ok}\n":              `"log"`,
		"cron:\n  a: {command: \"/a >> /b\"}\n":                 "redirection",
		"logrotate: {expect: [daily]}\n":                        `"config"`,
		"logrotate: {main: x}\n":                                "absolute path",
	} {
		s, problems := read(text)
		said := ""
		for _, p := range problems {
			said += p.Msg + "\n"
		}
		if s != nil || !strings.Contains(said, want) {
			t.Errorf("%q is not in what is said of %s:\n%s", want, text, said)
		}
	}
}
