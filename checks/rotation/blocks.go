package rotation

import (
	"fmt"
	"regexp"
	"strings"
)

// A block is what logrotate does with the logs of its patterns.
type block struct {
	file       string
	line       int
	patterns   []string
	directives []string          // "rotate 30", blanks collapsed
	hooks      map[string]string // "postrotate": its script
}

// hookNames begin a script that ends with a line "endscript".
var hookNames = map[string]bool{"prerotate": true, "postrotate": true, "firstaction": true, "lastaction": true, "preremove": true}

// parse takes a file apart: its blocks, the directives outside of them and the
// paths that it includes. What logrotate only warns of, a block without an end
// among it, is an error here: the rest of the file would belong to it.
func parse(file, content string) (blocks []block, global, includes []string, err error) {
	var open *block
	var heads []string
	hook := ""
	line := 0
	for raw := range strings.SplitSeq(content, "\n") {
		line++
		text := strings.TrimSpace(raw)
		switch {
		case hook != "" && text == "endscript":
			hook = ""
		case hook != "":
			open.hooks[hook] += raw + "\n"
		case text == "" || text[0] == '#':
		case open != nil && text == "}":
			blocks, open = append(blocks, *open), nil
		case open != nil && hookNames[text]:
			hook = text
		case open != nil:
			open.directives = append(open.directives, strings.Join(strings.Fields(text), " "))
		case strings.HasSuffix(text, "{"):
			heads = append(heads, strings.Fields(strings.TrimSuffix(text, "{"))...)
			open = &block{file: file, line: line, patterns: unquote(heads), hooks: map[string]string{}}
			heads = nil
		case text[0] == '/' || text[0] == '"' || text[0] == '\'':
			heads = append(heads, strings.Fields(text)...)
		default:
			words := strings.Fields(text)
			if words[0] == "include" && len(words) == 2 {
				includes = append(includes, words[1])
				continue
			}
			global = append(global, strings.Join(words, " "))
		}
	}
	switch {
	case hook != "":
		err = fmt.Errorf("%s:%d: the script %s has no endscript", file, open.line, hook)
	case open != nil:
		err = fmt.Errorf("%s:%d: the block has no end", file, open.line)
	case len(heads) > 0:
		err = fmt.Errorf("%s: %s has no block", file, heads[0])
	}
	return blocks, global, includes, err
}

func unquote(words []string) []string {
	for i, w := range words {
		words[i] = strings.Trim(w, `"'`)
	}
	return words
}

// has reports whether a directive is in the block. One without an argument is
// looked for by its name: "create" is met by "create 0640 www-data adm".
func (b block) has(want string) bool {
	want = strings.Join(strings.Fields(want), " ")
	for _, d := range b.directives {
		if d == want || !strings.Contains(want, " ") && strings.HasPrefix(d, want+" ") {
			return true
		}
	}
	return false
}

// frequency is the block's own or the configuration's period; "" for by size.
func (b block) frequency(global []string) string {
	period := "weekly" // logrotate's own
	for _, d := range append(append([]string{}, global...), b.directives...) {
		word, _, _ := strings.Cut(d, " ")
		switch word {
		case "hourly", "daily", "weekly", "monthly", "yearly":
			period = word
		case "size", "maxsize", "minsize":
			if word != "maxsize" {
				period = ""
			}
		}
	}
	return period
}

var (
	// restarting matches what ends a service to start it again: requests in
	// flight are lost. A reload or a signal to reopen does not.
	restarting = regexp.MustCompile(`\b(?:systemctl|service|invoke-rc\.d|docker|docker-compose|compose|podman|pm2|supervisorctl|rc-service|/etc/init\.d/\S+)\b[^\n;&|]*\b(?:try-)?(?:restart|stop|kill)\b|/etc/init\.d/\S+\s+(?:restart|stop)\b`)
	// reopening are the forms of the above that only tell a service to open its
	// log again.
	reopening = regexp.MustCompile(`\bkill\b[^\n;&|]*(?:-s\s*|--signal[= ]|-)(?:SIG)?(?:USR1|USR2|HUP)\b`)
	// masking matches what makes a failed command a success.
	masking = regexp.MustCompile(`\|\|\s*(?:true|/bin/true|:|exit\s+0|echo\b)`)
)

// restarts reports whether a hook's script restarts or stops a service.
func restarts(script string) bool {
	for _, command := range commands(script) {
		if restarting.MatchString(command) && !reopening.MatchString(command) {
			return true
		}
	}
	return false
}

// masks reports whether a hook's script hides that a command failed.
func masks(script string) bool {
	for _, command := range commands(script) {
		if masking.MatchString(command) {
			return true
		}
	}
	return false
}

// commands are the script's lines without comments; continued ones are joined.
func commands(script string) []string {
	var list []string
	for line := range strings.SplitSeq(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}
