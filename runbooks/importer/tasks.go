package importer

import (
	"regexp"
	"strings"
)

// tasks finds the tasks of a section.
func (p part) tasks(contents map[string]bool) Section {
	s := Section{Title: p.title, Line: p.line, Cadence: cadenceOf(p.title), Listed: contents == nil || contents[anchor(p.title)]}
	f := finder{section: &s}
	for _, b := range p.blocks {
		f.block(b)
	}
	f.section.Groups = withTasks(f.section.Groups)
	return s
}

func withTasks(groups []Group) []Group {
	var kept []Group
	for _, g := range groups {
		if len(g.Tasks) > 0 {
			kept = append(kept, g)
		}
	}
	return kept
}

// finder collects the tasks of one section.
type finder struct {
	section *Section
	sub     string // the heading of the third level
	label   string // the label in bold under it
	outer   string // the bullet that nested bullets stand under
	indent  int    // of that bullet
	hint    string // the last line of prose: "Create /usr/local/bin/x.sh:"
}

func (f *finder) block(b block) {
	switch b.kind {
	case heading:
		f.sub, f.label, f.outer, f.hint = numbering.ReplaceAllString(b.text, ""), "", "", ""
		f.group(b.line)
	case label:
		f.label, f.outer, f.hint = b.text, "", ""
		f.group(b.line)
	case bullet:
		f.bullet(b)
	case fence:
		f.fence(b)
	case prose:
		f.outer, f.hint = "", strings.TrimSuffix(b.text, ":")
	}
}

// group begins a group named by the heading and the label.
func (f *finder) group(line int) {
	title := f.sub
	if f.label != "" && title != "" {
		title += ": "
	}
	f.section.Groups = append(f.section.Groups, Group{Title: title + f.label, Line: line})
}

func (f *finder) add(t Task) {
	t.Title = strings.TrimRight(numbering.ReplaceAllString(plain(t.Title), ""), ": ")
	if t.Title == "" {
		return
	}
	t.Suggest = suggest(t.Title + "\n" + t.Commands)
	if len(f.section.Groups) == 0 {
		f.section.Groups = []Group{{Title: f.section.Title, Line: f.section.Line}}
	}
	g := &f.section.Groups[len(f.section.Groups)-1]
	g.Tasks = append(g.Tasks, t)
}

var (
	numbering  = regexp.MustCompile(`^\d+[.)]\s+`)
	boldBullet = regexp.MustCompile(`^\*\*[^*]+:\*\*\s*$|^\*\*[^*]+\*\*:\s*$`)
)

// bullet is a task, or the name of those nested below it.
func (f *finder) bullet(b block) {
	if boldBullet.MatchString(b.text) {
		f.outer, f.indent = strings.TrimRight(plain(b.text), ":"), b.indent
		return
	}
	title := plain(b.text)
	if f.outer != "" && b.indent > f.indent {
		title = f.outer + ": " + title
	} else {
		f.outer = ""
	}
	f.add(Task{Title: title, Line: b.line, End: b.end})
}

// fence is one task for a script or a configuration, and a task for each
// comment of a list of commands.
func (f *finder) fence(b block) {
	mark := commentMark(b.lang)
	if mark == "" || strings.HasPrefix(b.text, "#!") {
		f.add(Task{Title: f.named(b), Line: b.line, End: b.end, Lang: b.lang, Commands: b.text})
		return
	}
	c := commands{finder: f, block: b, mark: mark}
	for i, line := range strings.Split(b.text, "\n") {
		c.line(line, b.line+1+i)
	}
	c.flush()
}

// named is what a whole block is about: the prose before it, else the label or
// the heading.
func (f *finder) named(b block) string {
	for _, name := range []string{f.hint, f.label, f.sub, f.section.Title} {
		if name != "" {
			return name
		}
	}
	return b.lang
}

// commentMark is what begins a comment in a list of commands; "" for what is
// no such list.
func commentMark(lang string) string {
	switch lang {
	case "bash", "sh", "shell", "console":
		return "#"
	case "sql":
		return "--"
	}
	return ""
}

// commands reads a list of commands comment by comment.
type commands struct {
	finder *finder
	block  block
	mark   string
	task   Task
	body   []string
	listed bool   // the comment announced a list: "# Check for:"
	about  string // of that list
}

func (c *commands) line(line string, at int) {
	text, isComment := strings.CutPrefix(line, c.mark)
	switch {
	case !isComment:
		if strings.TrimSpace(line) == "" && len(c.body) == 0 {
			c.listed = false
			return
		}
		if c.task.Title == "" {
			c.task = Task{Title: c.finder.named(c.block), Line: at}
		}
		c.listed = false
		c.task.End, c.body = at, append(c.body, line)
	case c.listed && strings.HasPrefix(strings.TrimSpace(text), "- "):
		c.finder.add(Task{Title: c.about + ": " + strings.TrimPrefix(strings.TrimSpace(text), "- "), Line: at, End: at})
	case strings.HasPrefix(strings.TrimSpace(text), "- "):
		c.announced(at)
		c.finder.add(Task{Title: c.about + ": " + strings.TrimPrefix(strings.TrimSpace(text), "- "), Line: at, End: at})
	default:
		c.flush()
		c.task = Task{Title: strings.TrimSpace(text), Line: at, End: at}
	}
}

// announced turns the comment before a list into the list's name.
func (c *commands) announced(at int) {
	c.about = strings.TrimRight(numbering.ReplaceAllString(c.task.Title, ""), ": ")
	if c.about == "" {
		c.about = c.finder.named(c.block)
	}
	if len(c.body) > 0 {
		c.flush()
	}
	c.task, c.body, c.listed = Task{}, nil, true
}

// flush ends the task that the last comment began.
func (c *commands) flush() {
	if c.task.Title == "" {
		return
	}
	c.task.Lang, c.task.Commands = c.block.lang, strings.TrimRight(strings.Join(c.body, "\n"), "\n ")
	if c.task.Commands == "" {
		c.task.Lang = ""
	}
	c.finder.add(c.task)
	c.task, c.body, c.listed = Task{}, nil, false
}
