package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// thresholds are the limits, ages and times that a document states: they become
// rules and variables when an item gets a block.
func thresholds(lines []string) []Finding {
	var found []Finding
	for i, line := range lines {
		for _, m := range threshold.FindAllString(line, -1) {
			found = append(found, Finding{i + 1, Threshold, strings.TrimSpace(m)})
		}
	}
	return found
}

var threshold = regexp.MustCompile(`(?i)(?:CVSS\s*)?>\s*\d+(?:\.\d+)?%?|\b\d+(?:\.\d+)?\s?%|\b\d+(?:-\d+)?\s?(?:hours?|days?|weeks?|months?|minutes?|ms|AM|PM)\b|-mtime \+\d+|\brotate \d+|-gt \d+|-lt \d+`)

// placeholders are what somebody was meant to put the real thing for.
func placeholders(lines []string) []Finding {
	var found []Finding
	for i, line := range lines {
		for _, m := range slices.Compact(placeholder.FindAllString(line, -1)) {
			found = append(found, Finding{i + 1, Placeholder, fmt.Sprintf("%q stands for something of the site's own", m)})
		}
	}
	return found
}

var placeholder = regexp.MustCompile(`\b(?:[\w.+-]+@)?(?:[\w-]+\.)*(?:yourdomain|yourcompany|your-domain)\.(?:com|org)\b|\bexample\.com\b|\bpackage-name\b|\bnew_strong_password\b|\bYOUR_[A-Z_]+\b|\bTOKEN\b|<[a-z]+(?:-[a-z]+)+>`)

// A subject is a fact that guides tend to state more than once. values are what
// the places can disagree about.
type subject struct {
	name   string
	mark   *regexp.Regexp // a line that is about it
	value  *regexp.Regexp // what it says; nil: that it is said at all
	differ string         // why different values matter; "" if they may differ
	rhythm bool           // where nothing else is said, the section's cadence is the value
}

// subjects are those of a service with a database, containers and a web
// server. It is never written to.
var subjects = []subject{
	{"how full a disk may be", regexp.MustCompile(`(?i)disk.*(%|-gt)|DISK_USAGE -gt`), regexp.MustCompile(`(\d+)\s?%|-gt (\d+)`), "one limit, one variable", false},
	{"how long a certificate may still hold", regexp.MustCompile(`(?i)openssl s_client|DAYS_UNTIL_EXPIRY\S* -lt|certificate expir`), regexp.MustCompile(`-lt (\d+)`), "", false},
	{"renewal of certificates", regexp.MustCompile(`certbot(\.timer| renew)`), nil, "", false},
	{"where backups are and what they are called", regexp.MustCompile(`backup\S*\.sql(\.gz)?|BACKUP_DIR=|backups/`), regexp.MustCompile(`((?:\w*backup_|latest)[^/"]*?\.sql(?:\.gz)?)`), "a check of one name misses files of another", false},
	{"the test that a backup restores", regexp.MustCompile(`createdb|gunzip -c .*psql|psql .*<|(?i)restore (latest |backup)`), nil, "", false},
	{"VACUUM and ANALYZE", regexp.MustCompile(`\bVACUUM\b|\bANALYZE\b`), regexp.MustCompile(`(VACUUM FULL|VACUUM ANALYZE|VACUUM|ANALYZE)`), "two schedules own one task", false},
	{"REINDEX", regexp.MustCompile(`(?i)\breindex`), nil, "", false},
	{"how often dependencies are reviewed", regexp.MustCompile(`(?i)npm (outdated|update)|update dependenc|review updates|interval: "weekly"|minor dependency`), regexp.MustCompile(`(?i)\b(weekly|monthly|daily)\b`), "two rhythms for one review", true},
	{"how soon a vulnerability is repaired", regexp.MustCompile(`(?i)CVSS|npm package vulnerabilities|high/critical|within \d+|apply immediately`), regexp.MustCompile(`(?i)(CVSS > [\d.]+|high/critical|within \d+ \w+|immediately)`), "one severity has two deadlines", false},
	{"how long ahead users are told", regexp.MustCompile(`(?i)notify .*\d+ days|notification\W+\d+ days|\d+ days.*notice`), regexp.MustCompile(`(\d+) days`), "one lead, one variable", false},
	{"when jobs and windows run", regexp.MustCompile(`(?i)^\s*\d+ \d+ \* \* \S+ |\bat \d+ ?[AP]M|\d+-\d+ ?[AP]M`), regexp.MustCompile(`(?i)(\d+(?:-\d+)? ?[AP]M|^\s*\d+ \d+ \* \* \S+)`), "jobs that fire inside the window", false},
	{"how long logs are kept", regexp.MustCompile(`(?i)-mtime \+\d+|\brotate \d+|logs older than`), regexp.MustCompile(`(?i)(-mtime \+\d+|rotate \d+)`), "find and logrotate both own it", false},
	{"how busy CPU and memory may be", regexp.MustCompile(`(?i)(cpu|memory) usage`), regexp.MustCompile(`(\d+)%`), "", false},
	{"how long to watch after a change", regexp.MustCompile(`(?i)(watch|monitor)\b.*\d+ hours`), nil, "before or after production", false},
}

// place is where a subject is spoken of.
type stated struct {
	line    int
	section string
	value   string
}

// compare finds facts that stand in several places, and places that disagree.
func compare(doc document) []Finding {
	var found []Finding
	for _, s := range subjects {
		places := doc.places(s)
		if len(places) < 2 {
			continue
		}
		found = append(found, Finding{places[0].line, Repeated, s.name + ": " + listed(places)})
		if values := distinct(places); s.differ != "" && (len(values) > 1 || s.value == nil && len(sections(places)) > 1) {
			found = append(found, Finding{places[0].line, Contradiction, fmt.Sprintf("%s: %s (%s)", s.name, strings.Join(said(places), "; "), s.differ)})
		}
	}
	return found
}

// places are the lines outside of the contents list that are about a subject.
// What follows a line of the same place at once is not told again.
func (d document) places(s subject) []stated {
	var found []stated
	for i, line := range d.lines {
		section := d.sectionOf(i + 1)
		if section == "" || !s.mark.MatchString(line) {
			continue
		}
		value := ""
		if s.value != nil {
			value = firstGroup(s.value.FindStringSubmatch(line))
		}
		if value == "" && s.rhythm && cadenceOf(section) != "none" {
			value = cadenceOf(section)
		}
		if n := len(found); n > 0 && i+1-found[n-1].line <= 3 && found[n-1].section == section && (value == "" || value == found[n-1].value) {
			continue
		}
		found = append(found, stated{i + 1, section, value})
	}
	return found
}

func firstGroup(m []string) string {
	if len(m) == 0 {
		return ""
	}
	for _, g := range m[1:] {
		if g != "" {
			return strings.TrimSpace(g)
		}
	}
	return ""
}

func (d document) sectionOf(line int) string {
	name := ""
	for _, s := range d.sections {
		if s.line <= line {
			name = s.title
		}
	}
	return name
}

func listed(places []stated) string {
	var parts []string
	for _, p := range places {
		parts = append(parts, fmt.Sprintf("line %d", p.line))
	}
	return strings.Join(parts, ", ")
}

func said(places []stated) []string {
	var parts []string
	for _, p := range places {
		what := p.value
		if what == "" {
			what = "under " + p.section
		}
		parts = append(parts, fmt.Sprintf("line %d %s", p.line, what))
	}
	return parts
}

func distinct(places []stated) []string {
	var values []string
	for _, p := range places {
		if v := strings.ToLower(p.value); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func sections(places []stated) []string {
	var names []string
	for _, p := range places {
		if !slices.Contains(names, p.section) {
			names = append(names, p.section)
		}
	}
	return names
}
