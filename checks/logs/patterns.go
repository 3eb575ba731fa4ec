package logs

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed patterns/*.yaml
var patternFiles embed.FS

// A patternSet is a named, versioned set of patterns, shipped as data: see
// patterns/*.yaml. Each pattern carries lines it must match and lines it must
// not; a test holds it to them.
type patternSet struct {
	ID       string    `yaml:"id"`
	Version  int       `yaml:"version"`
	Doc      string    `yaml:"doc"`
	Setting  string    `yaml:"setting"` // a server setting without which the log is silent
	Group    string    `yaml:"group"`   // signature (default), ip or user
	Patterns []pattern `yaml:"patterns"`
}

// A pattern matches one kind of line.
type pattern struct {
	Name     string   `yaml:"name"`
	Literals []string `yaml:"literals"` // in lower case; a line without any of them cannot match
	Regexp   string   `yaml:"regexp"`   // with a group "ms" where the line says how long
	Unless   string   `yaml:"unless"`   // lines that match this as well are another set's
	Urgent   bool     `yaml:"urgent"`   // one is one too many
	Level    string   `yaml:"level"`    // instead of a regexp: the line's own level, or worse
	Match    []string `yaml:"match"`
	Never    []string `yaml:"never"`

	expr, unless *regexp.Regexp
	level        severity
}

// patternSets loads the shipped sets once, by id.
var patternSets = sync.OnceValues(loadPatterns)

// SetNames lists the shipped pattern sets, sorted.
func SetNames() []string {
	entries, err := patternFiles.ReadDir("patterns")
	if err != nil {
		return nil // an embedded directory is always there
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

func loadPatterns() (map[string]*patternSet, error) {
	sets := map[string]*patternSet{}
	var problems []error
	for _, name := range SetNames() {
		raw, err := patternFiles.ReadFile("patterns/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("reading pattern set %s: %w", name, err)
		}
		set, err := parseSet(raw)
		if err == nil && set.ID != name {
			err = fmt.Errorf("its id is %q", set.ID)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("pattern set %s: %w", name, err))
			continue
		}
		sets[name] = set
	}
	return sets, errors.Join(problems...)
}

func parseSet(raw []byte) (*patternSet, error) {
	var set patternSet
	if err := yaml.UnmarshalWithOptions(raw, &set, yaml.Strict()); err != nil {
		return nil, err
	}
	if set.Version < 1 || set.Doc == "" || len(set.Patterns) == 0 {
		return nil, errors.New("it needs a version, a doc and patterns")
	}
	for i := range set.Patterns {
		if err := set.Patterns[i].compile(); err != nil {
			return nil, fmt.Errorf("pattern %s: %w", set.Patterns[i].Name, err)
		}
	}
	return &set, nil
}

// shortestLiteral keeps the prefilter fast: it steps by this less one.
const shortestLiteral = 7

func (p *pattern) compile() (err error) {
	if p.Level != "" {
		if p.level = severityOf(p.Level); p.level == noLevel || p.Regexp != "" {
			return fmt.Errorf("level %q, with regexp %q", p.Level, p.Regexp)
		}
		return nil
	}
	for _, l := range p.Literals {
		if len(l) < shortestLiteral || l != strings.ToLower(l) {
			return fmt.Errorf("literal %q is short or not in lower case", l)
		}
	}
	if len(p.Literals) == 0 || p.Regexp == "" {
		return errors.New("it needs literals and a regexp")
	}
	if p.expr, err = regexp.Compile(p.Regexp); err != nil {
		return err
	}
	if p.Unless != "" {
		p.unless, err = regexp.Compile(p.Unless)
	}
	return err
}

// matches reports whether the pattern's expression takes the line.
func (p *pattern) matches(text []byte) bool {
	return p.expr.Match(text) && (p.unless == nil || !p.unless.Match(text))
}

// A matcher tries the patterns of several sets on a line at once.
type matcher struct {
	patterns []*pattern
	sets     []int // set of each pattern, by index into those given
	filter   *prefilter
	byLevel  []int // patterns that ask for a level
}

// maxPatterns is how many patterns one matcher can hold: a bit each.
const maxPatterns = 64

func newMatcher(sets ...*patternSet) (*matcher, error) {
	m := &matcher{}
	var literals []string
	var bits []uint64
	for n, set := range sets {
		for i := range set.Patterns {
			p := &set.Patterns[i]
			at := len(m.patterns)
			if at == maxPatterns {
				return nil, fmt.Errorf("more than %d patterns at once", maxPatterns)
			}
			m.patterns, m.sets = append(m.patterns, p), append(m.sets, n)
			if p.level != noLevel {
				m.byLevel = append(m.byLevel, at)
			}
			for _, l := range p.Literals {
				if known := slices.Index(literals, l); known >= 0 {
					bits[known] |= 1 << at
					continue
				}
				literals, bits = append(literals, l), append(bits, 1<<at)
			}
		}
	}
	if len(literals) > 0 {
		m.filter = newPrefilter(literals, bits)
	}
	return m, nil
}

// match returns the patterns that take the line, as bits. Most lines cost one
// pass of the prefilter and nothing else.
func (m *matcher) match(l *line) (found uint64) {
	if m.filter != nil {
		candidates := m.filter.find(l.text)
		for at := 0; candidates != 0; at, candidates = at+1, candidates>>1 {
			if candidates&1 != 0 && m.patterns[at].matches(l.text) {
				found |= 1 << at
			}
		}
	}
	if len(m.byLevel) > 0 {
		level := l.level()
		for _, at := range m.byLevel {
			if level >= m.patterns[at].level {
				found |= 1 << at
			}
		}
	}
	return found
}
