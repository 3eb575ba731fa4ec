package files

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// expectation is what the arguments want of a file; zero fields want nothing.
type expectation struct {
	contains, absent []string
	pattern          *regexp.Regexp
	sha256           string
	mode, owner      string
}

func expected(args checks.Args) (expectation, error) {
	e := expectation{
		contains: args.Texts("contains"), absent: args.Texts("absent"),
		sha256: strings.ToLower(args.Text("sha256")), mode: args.Text("mode"), owner: args.Text("owner"),
	}
	if !args.Has("matches") {
		return e, nil
	}
	var err error
	if e.pattern, err = compile(args.Text("matches")); err != nil {
		return e, checks.Failed(checks.Internal, "the pattern %q does not compile: %w", args.Text("matches"), err)
	}
	return e, nil
}

// compare adds a fact for everything that is expected and returns what is
// wrong, in words that do not quote the file.
func (e expectation) compare(file file, f *checks.Findings) (wrong []string) {
	wrong = e.content(file)
	if e.pattern != nil {
		n := len(e.pattern.FindAllIndex(file.content, -1))
		f.Facts = append(f.Facts, fact.Number("matches", n))
		if n == 0 {
			wrong = append(wrong, fmt.Sprintf("nothing matches %q", e.pattern))
		}
	}
	if len(e.contains)+len(e.absent) > 0 || e.pattern != nil || e.sha256 != "" {
		f.Facts = append(f.Facts, fact.Flag("matched", len(wrong) == 0))
	}
	if e.mode != "" {
		ok := strings.TrimLeft(e.mode, "0") == strings.TrimLeft(file.mode, "0")
		f.Facts = append(f.Facts, fact.Flag("mode_ok", ok))
		if !ok {
			wrong = append(wrong, fmt.Sprintf("mode %s instead of %s", file.mode, e.mode))
		}
	}
	if e.owner != "" {
		ok := e.owner == file.owner || e.owner == file.uid
		f.Facts = append(f.Facts, fact.Flag("owner_ok", ok))
		if !ok {
			wrong = append(wrong, fmt.Sprintf("owner %s instead of %s", file.owner, e.owner))
		}
	}
	return wrong
}

func (e expectation) content(file file) (wrong []string) {
	if e.sha256 != "" && e.sha256 != file.sha256 {
		wrong = append(wrong, "changed: sha256 "+file.sha256)
	}
	for _, text := range e.contains {
		if !bytes.Contains(file.content, []byte(text)) {
			wrong = append(wrong, fmt.Sprintf("no %q in it", text))
		}
	}
	for _, text := range e.absent {
		if at := bytes.Index(file.content, []byte(text)); at >= 0 {
			line := 1 + bytes.Count(file.content[:at], []byte("\n"))
			wrong = append(wrong, fmt.Sprintf("%q in line %d", text, line))
		}
	}
	return wrong
}
