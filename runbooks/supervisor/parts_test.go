package supervisor_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// noted is what was noted on a run.
func noted(s *supervisor.Session) []string {
	var texts []string
	for n := range s.Run().Notes.All() {
		texts = append(texts, n.Text)
	}
	return texts
}

// TestARunOfManyEventsComesInParts: a message holds few of them, and who opens
// the run, or does something in it, sees all when that returns. A new supervisor
// tells everything again when the run goes on, also in parts.
func TestARunOfManyEventsComesInParts(t *testing.T) {
	h := newHouse(t)
	h.change = func(o *supervisor.Options) { o.Part = 1 }
	var want []string
	for range 2 {
		h.serve()
		first := h.open("daily")
		if diff := cmp.Diff(want, noted(first)); diff != "" {
			t.Errorf("opened again: %s", diff)
		}
		for range 10 {
			want = append(want, fmt.Sprintf("note %d", len(want)))
			must(t, first.Note("", want[len(want)-1]))
			if diff := cmp.Diff(want, noted(first)); diff != "" {
				t.Fatalf("noted: %s", diff)
			}
		}
		second := h.open("daily")
		if diff := cmp.Diff(want, noted(second)); diff != "" {
			t.Errorf("opened by another: %s", diff)
		}
		must(t, first.Close())
		must(t, second.Close())
		h.end()
	}
}

// TestOneMessageHoldsFewEvents: as many as its bound allows, and says that there
// are more. A client that does not ask for parts gets all of them.
func TestOneMessageHoldsFewEvents(t *testing.T) {
	h := newHouse(t)
	h.change = func(o *supervisor.Options) { o.Part = 1 }
	h.serve()
	defer h.end()
	s := h.open("daily")
	for range 3 {
		must(t, s.Note("", "here"))
	}
	defer s.Close() //nolint:errcheck // the supervisor ends
	for _, tt := range []struct {
		parts  bool
		events int
		more   bool
	}{{true, 1, true}, {false, 4, false}} {
		conn := h.dial()
		in := bufio.NewReader(conn)
		var opened struct {
			Result struct {
				News struct {
					Events []runbooks.Event
					More   bool
				}
			}
		}
		for _, ask := range []string{
			`{"id":1,"method":"hello","params":{"protocol":1,"version":"test"}}`,
			fmt.Sprintf(`{"id":2,"method":"open","params":{"path":"daily.md","section":"all","parts":%v}}`, tt.parts),
		} {
			if _, err := fmt.Fprintln(conn, ask); err != nil {
				t.Fatal(err)
			}
			line, err := in.ReadBytes('\n')
			if err == nil {
				err = json.Unmarshal(line, &opened)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := opened.Result.News; len(n.Events) != tt.events || n.More != tt.more {
			t.Errorf("parts %v: %d events, more %v", tt.parts, len(n.Events), n.More)
		}
		must(t, conn.Close())
	}
}
