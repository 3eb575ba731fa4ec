package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

func TestTheHostsLogIsToldOfOutcomes(t *testing.T) {
	j, err := journal.Open(t.TempDir(), journal.Holder{User: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Release()
	var told []string
	w := witnessed{j, func(line string) { told = append(told, line) }}
	for _, p := range []runbooks.Payload{runbooks.Noted{Text: "no outcome"}, runbooks.ActionFinished{}} {
		e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "ada"}, "window-1", "compact", 1, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	head, err := j.Head()
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "run=window-1 item=compact event=action.outcome") || !strings.HasSuffix(told[0], runbooks.Hash(head.Hash).String()) {
		t.Errorf("%q", told)
	}
}
