package importer

import (
	"fmt"
	"strings"
)

// maxSize bounds a guide, in bytes; a thousand lines are far inside.
const maxSize = 1 << 20

// A Guide is what was found in a document.
type Guide struct {
	Title    string    `json:"title"`
	Sections []Section `json:"sections"`
	Findings []Finding `json:"findings"`
}

// A Section is a heading of the second level with its tasks.
type Section struct {
	Title   string  `json:"title"`
	Cadence string  `json:"cadence"` // "daily", "weekly", "monthly", "quarterly", or "none"
	Line    int     `json:"line"`
	Listed  bool    `json:"listed"` // the contents list names it; true if there is none
	Groups  []Group `json:"groups"`
}

// A Group is a heading of the third level, or a label in bold.
type Group struct {
	Title string `json:"title"`
	Line  int    `json:"line"`
	Tasks []Task `json:"tasks"`
}

// A Task is one thing to do.
type Task struct {
	Title    string `json:"title"`
	Line     int    `json:"line"`
	End      int    `json:"end"`                // last line
	Lang     string `json:"lang,omitempty"`     // of Commands
	Commands string `json:"commands,omitempty"` // the guide's own, as reference
	Suggest  string `json:"suggest,omitempty"`  // a module that may find it out or do it; "" if none comes to mind
}

// A Finding is something an owner should know about the document.
type Finding struct {
	Line int    `json:"line"`
	Code string `json:"code"`
	Text string `json:"text"`
}

// The codes of findings.
const (
	Unlisted      = "not-in-contents" // a section with tasks that the contents list lacks
	Repeated      = "repeated"        // one fact in several places
	Contradiction = "contradiction"   // places that do not agree
	Threshold     = "threshold"
	Placeholder   = "placeholder"
	Misdecoded    = "mis-decoded"
	NoLanguage    = "no-language" // a fence whose language is not said, or not what it says
)

// Import reads a guide. It fails only for what is no text document at all.
func Import(source []byte) (Guide, error) {
	if len(source) > maxSize {
		return Guide{}, fmt.Errorf("the document has %d bytes, more than %d", len(source), maxSize)
	}
	lines, findings := decode(source)
	doc := scan(lines)
	g := Guide{Title: doc.title, Findings: findings}
	for _, s := range doc.sections {
		if section := s.tasks(doc.contents); len(section.Groups) > 0 {
			g.Sections = append(g.Sections, section)
			if !section.Listed {
				g.Findings = append(g.Findings, Finding{section.Line, Unlisted, fmt.Sprintf("%q has tasks and is not in the document's contents list", section.Title)})
			}
		}
	}
	g.Findings = append(g.Findings, doc.fences()...)
	g.Findings = append(g.Findings, placeholders(lines)...)
	g.Findings = append(g.Findings, thresholds(lines)...)
	g.Findings = append(g.Findings, compare(doc)...)
	return g, nil
}

// Tasks is how many there are.
func (g Guide) Tasks() int {
	n := 0
	for _, s := range g.Sections {
		for _, group := range s.Groups {
			n += len(group.Tasks)
		}
	}
	return n
}

// Of are the findings with a code, in the order of the document.
func (g Guide) Of(code string) []Finding {
	var found []Finding
	for _, f := range g.Findings {
		if f.Code == code {
			found = append(found, f)
		}
	}
	return found
}

func cadenceOf(title string) string {
	lower := strings.ToLower(title)
	for _, c := range []string{"daily", "weekly", "monthly", "quarterly"} {
		if strings.Contains(lower, c) {
			return c
		}
	}
	return "none"
}
