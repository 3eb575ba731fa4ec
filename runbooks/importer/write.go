package importer

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Markdown is the guide as a runbook: each task an item to be done by hand, its
// commands below it as text. name is the document it was imported from.
func (g Guide) Markdown(id, name string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "---\nrunbook: %s\nschema: 1\ntitle: %s\n---\n\n# %s\n\n", id, quoted(g.Title), text(g.Title))
	fmt.Fprintf(&b, "Imported from %s. Every item is done by hand until it gets a block; the commands\nbelow an item are the guide's own, for reading: opsdeck never executes them.\n", text(name))
	ids := map[string]bool{}
	for _, s := range g.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n```yaml section\nid: %s\ncadence: %s\n```\n", text(s.Title), unique(ids, s.Title), s.Cadence)
		for _, group := range s.Groups {
			fmt.Fprintf(&b, "\n### %s\n", text(group.Title))
			for _, t := range group.Tasks {
				writeTask(&b, t, name)
			}
		}
	}
	return []byte(b.String())
}

func writeTask(b *strings.Builder, t Task, name string) {
	fmt.Fprintf(b, "\n- [ ] %s\n\n  %s, line %s.", text(t.Title), text(name), span(t))
	if t.Suggest != "" {
		fmt.Fprintf(b, " A block could use `%s`.", t.Suggest)
	}
	b.WriteString("\n")
	if t.Commands == "" {
		return
	}
	mark := "```"
	for strings.Contains(t.Commands, mark) {
		mark += "`"
	}
	fmt.Fprintf(b, "\n  %s%s\n", mark, t.Lang)
	for _, line := range strings.Split(t.Commands, "\n") {
		b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
	}
	b.WriteString("  " + mark + "\n")
}

func span(t Task) string {
	if t.End > t.Line {
		return fmt.Sprintf("%d to %d", t.Line, t.End)
	}
	return fmt.Sprint(t.Line)
}

// text is a title that stays one line and one title.
func text(s string) string {
	s = clean.Line(s, 200)
	return strings.NewReplacer("```", "'''", "\n", " ").Replace(s)
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean.Line(s, 200)) + `"`
}

// Slug is a name as an id of a runbook.
func Slug(name string) string {
	id := strings.Trim(anchor(name), "-")
	if id == "" || id[0] >= '0' && id[0] <= '9' {
		id = "guide-" + id
	}
	return strings.TrimRight(id, "-")
}

// unique is an id for a section: its title's first word where that is a
// cadence, else its anchor.
func unique(taken map[string]bool, title string) string {
	id := strings.Trim(anchor(title), "-")
	if c := cadenceOf(title); c != "none" {
		id = c
	}
	if id == "" || id[0] >= '0' && id[0] <= '9' {
		id = "section-" + id
	}
	for base, n := id, 2; taken[id]; n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	taken[id] = true
	return id
}
