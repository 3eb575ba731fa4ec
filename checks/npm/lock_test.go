package npm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLockFilesOfEveryVersionAreRead(t *testing.T) {
	t.Parallel()
	want := lock{"node_modules/a": "1.0.0", "node_modules/a/node_modules/b": "2.0.0"}
	for name, raw := range map[string]string{
		"3": `{"lockfileVersion":3,"packages":{"":{"version":"9.0.0"},"packages/own":{"version":"1.0.0"},"node_modules/own":{"resolved":"packages/own","link":true},"node_modules/a":{"version":"1.0.0"},"node_modules/a/node_modules/b":{"version":"2.0.0"}}}`,
		"1": `{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}}}}`,
	} {
		got, err := parseLock([]byte(raw))
		if err != nil {
			t.Errorf("version %s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %s: %s", name, d)
		}
	}
	for _, raw := range []string{"", "[]", "{}", `{"packages":{}}`} {
		if _, err := parseLock([]byte(raw)); err == nil {
			t.Errorf("%q is taken for a lock file", raw)
		}
	}
}

func TestMovesBetweenTwoLocks(t *testing.T) {
	t.Parallel()
	from := lock{"node_modules/a": "1.0.0", "node_modules/gone": "1.0.0", "node_modules/same": "1.0.0"}
	to := lock{"node_modules/a": "1.1.0", "node_modules/a/node_modules/@x/new": "3.0.0", "node_modules/same": "1.0.0"}
	want := []move{{"a", "1.0.0", "1.1.0"}, {"@x/new", "", "3.0.0"}, {"gone", "1.0.0", ""}}
	if d := cmp.Diff(want, moves(from, to), cmp.AllowUnexported(move{})); d != "" {
		t.Error(d)
	}
	if from.identity() == to.identity() || from.identity() != (lock{"node_modules/same": "1.0.0", "node_modules/gone": "1.0.0", "node_modules/a": "1.0.0"}).identity() {
		t.Error("two locks are the same if they say the same")
	}
}

func FuzzReports(f *testing.F) {
	f.Add([]byte(`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1"}}}`))
	f.Add([]byte(`{"auditReportVersion":2,"vulnerabilities":{"a":{"via":["b"]}},"metadata":{"vulnerabilities":{"total":1}}}`))
	f.Add([]byte(`{"left":{"current":"1.0.0","wanted":"1.0.0","latest":"2.0.0"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, err := parseLock(raw); err == nil && l == nil {
			t.Error("neither a lock nor an error")
		}
		_, _, _ = parseAudit(raw) // must not panic, whatever it is
		_, _ = parseOutdated(raw) // nor this
	})
}
