package markdown

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// mostTitle bounds the title of an ad hoc action, in bytes.
const mostTitle = 120

// AdHoc writes the document of an ad hoc action. The same action gives the
// same bytes, and its section is named after them: asking twice joins the run
// that is open, and another session to end is another section.
func AdHoc(a runbooks.AdHoc) ([]byte, error) {
	block, err := adHocBlock(a)
	if err != nil {
		return nil, fmt.Errorf("writing the document of %s: %w", a.Use, err)
	}
	title := adHocTitle(a.Title)
	sum := sha256.Sum256(append(block, title...))
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\nrunbook: %s\nschema: 1\ntitle: Begun from a pane\n---\n\n# Begun from a pane\n\n", runbooks.AdHocBook) //nolint:errcheck // a buffer takes everything
	fmt.Fprintf(&b, "## %s\n```yaml section\nid: %s-%s\ncadence: none\n```\n\n", title, strings.ReplaceAll(a.Use, ".", "-"), hex.EncodeToString(sum[:8]))
	fmt.Fprintf(&b, "- [ ] %s\n```yaml action\n%s```\n", title, block)
	return b.Bytes(), nil
}

// adHocTitle is a title that is text in Markdown and one line: what is markup
// becomes a full stop, so that neither a heading, a link nor a fence begins, and
// blanks are one blank, as which Markdown reads them.
// Underscores within a word, as in the name of a table, are no markup and stay.
func adHocTitle(title string) string {
	runes := []rune(clean.Line(title, mostTitle))
	for i, r := range runes {
		if strings.ContainsRune("`*[]<>#|\\!{}$~&", r) || r == '_' && !withinWord(runes, i) {
			runes[i] = '.'
		}
	}
	return strings.Join(strings.Fields(string(runes)), " ")
}

// withinWord reports whether a letter or digit stands on both sides of the
// underscores that the one at i belongs to.
func withinWord(runes []rune, i int) bool {
	before, after := i, i
	for before >= 0 && runes[before] == '_' {
		before--
	}
	for after < len(runes) && runes[after] == '_' {
		after++
	}
	ofWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return before >= 0 && after < len(runes) && ofWord(runes[before]) && ofWord(runes[after])
}

func adHocBlock(a runbooks.AdHoc) ([]byte, error) {
	block := yaml.MapSlice{{Key: "id", Value: runbooks.AdHocItem}, {Key: "use", Value: a.Use}}
	if a.Connection != "" {
		block = append(block, yaml.MapItem{Key: "connection", Value: a.Connection})
	}
	with := yaml.MapSlice{}
	for _, name := range slices.Sorted(maps.Keys(a.With)) {
		if strings.Contains(fmt.Sprint(a.With[name]), "${") {
			return nil, fmt.Errorf("%s holds \"${\", which a document reads as a variable", name)
		}
		with = append(with, yaml.MapItem{Key: name, Value: a.With[name]})
	}
	block = append(block, yaml.MapItem{Key: "with", Value: with})
	return yaml.MarshalWithOptions(block, yaml.JSON())
}

// IsAdHoc reports whether a document is, byte for byte, what AdHoc writes for
// the action it holds, and the module of that action. Nothing can hide in it
// then: no second item, no rule, no way around a gate.
func IsAdHoc(book runbooks.Runbook) (use string, ok bool) {
	if book.ID != runbooks.AdHocBook || len(book.Sections) != 1 || len(book.Sections[0].Items) != 1 {
		return "", false
	}
	it := book.Sections[0].Items[0]
	written, err := AdHoc(runbooks.AdHoc{Use: it.Use, Connection: it.Connection, Title: it.Title, With: it.With})
	return it.Use, err == nil && bytes.Equal(written, book.Source)
}
