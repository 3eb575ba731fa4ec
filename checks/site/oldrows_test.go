package site

import (
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestOldRowsAreReadAndBadOnesRefused(t *testing.T) {
	reg, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (*Site, Problems) {
		return Parse("opsdeck.yaml", []byte("schema: 1\nsite: x\n"+text), reg, func(string) string { return "" })
	}
	s, problems := read("archive:\n  audit: {table: audit_logs, into: public.old, older_than: 90d}\npurge:\n  notes: {table: notes, where: is_read, column: read_at, older_than: 30d}\n")
	if s == nil {
		t.Fatal(problems)
	}
	if a, p := s.Facts().Archive["audit"], s.Facts().Purge["notes"]; a.Column != "created_at" || a.OlderThan != 90*24*time.Hour || a.Into != "public.old" || p.Where != "is_read" || p.Column != "read_at" {
		t.Errorf("%+v %+v", a, p)
	}
	for text, want := range map[string]string{
		"archive:\n  a: {table: t, older_than: 90d}\n":                    "into",
		"archive:\n  a: {table: t, into: t, older_than: 90d}\n":           "into itself",
		"archive:\n  a: {table: t, into: u, where: x, older_than: 90d}\n": "where",
		"purge:\n  a: {table: t, older_than: 10m}\n":                      "less than a day",
		"purge:\n  a: {table: t, where: \"x; DROP\", older_than: 30d}\n":  "semicolon",
		"purge:\n  a: {table: t}\n":                                       "older_than",
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
