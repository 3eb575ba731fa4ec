package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Import looks whether a guide is imported as a whole.
var Import = module(checks.Module{
	Name:   "doc.import",
	Doc:    "Reads a guide as opsdeck import does, and names every section of it that holds text and became no section of a runbook",
	Params: []checks.Param{nameParam()},
	Facts: []fact.Spec{
		{Name: "headings", Type: fact.Count, Doc: "headings of the second level that hold text, the contents list left out; counted without the importer"},
		{Name: "sections", Type: fact.Count, Doc: "sections that the import makes of them"},
		{Name: "left_out", Type: fact.Count, Unit: "sections", Worse: fact.Higher, Doc: "headings that became no section"},
		{Name: "tasks", Type: fact.Count, Doc: "tasks that became items"},
		{Name: "to_resolve", Type: fact.Count, Worse: fact.Higher, Doc: "placeholders, contradictions and bytes that are no text, which an owner has to settle"},
	},
	Warn: "to_resolve > 0", Fail: "left_out > 0 or tasks == 0", Source: "guide: every section that holds tasks", Every: time.Hour,
	Example: "use: doc.import\nwith: {document: guide}",
	Run:     imported,
})

// maxGuide bounds what is read of a guide.
const maxGuide = 4 << 20

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func imported(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	d, err := named(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: d.Path}
	if env.Import == nil || d.Path == "" {
		return f, checks.Failed(checks.Unconfigured, "%s is no file that could be imported here", d.Name)
	}
	if _, err := stat(env, d); err != nil {
		return f, err
	}
	path := filepath.Join(env.Root, d.Path)
	source, err := hostfs.Read(path, maxGuide)
	if err != nil {
		return f, fmt.Errorf("reading the guide: %w", err)
	}
	got, err := env.Import(path)
	if err != nil {
		return f, fmt.Errorf("importing the guide: %w", err)
	}
	all := headings(source)
	var left []string
	for _, h := range all {
		if !slices.Contains(got.Sections, h) {
			left = append(left, "no section was made of: "+h)
		}
	}
	f.Note = fmt.Sprintf("%d tasks in %d of %d sections, %d to resolve", got.Tasks, len(got.Sections), len(all), len(got.Unsettled))
	f.Detail = append(left, got.Unsettled...)
	f.Facts = []fact.Fact{
		fact.Number("headings", len(all)), fact.Number("sections", len(got.Sections)), fact.Number("left_out", len(left)),
		fact.Number("tasks", got.Tasks), fact.Number("to_resolve", len(got.Unsettled)),
	}
	return f, nil
}

var contents = regexp.MustCompile(`(?i)\bcontents\b`)

// headings are those of the second level that anything but another heading
// follows, outside of fences.
func headings(source []byte) []string {
	var all []string
	open, fence := "", ""
	for line := range bytes.Lines(source) {
		text := strings.TrimSpace(strings.ToValidUTF8(string(line), "\uFFFD"))
		switch {
		case fence != "":
			if strings.HasPrefix(text, fence) {
				fence = ""
			}
			continue
		case strings.HasPrefix(text, "```"), strings.HasPrefix(text, "~~~"):
			fence = text[:3]
		case strings.HasPrefix(text, "## "):
			open = strings.TrimSpace(strings.TrimRight(text[3:], "#"))
			continue
		case text == "" || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "---"):
			continue
		}
		if open != "" && !contents.MatchString(open) {
			all = append(all, open)
		}
		open = ""
	}
	return all
}
