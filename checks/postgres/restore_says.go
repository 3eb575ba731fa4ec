package postgres

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

func (p *restorePlan) steps(found dumpFindings) []string {
	lines := []string{fmt.Sprintf("reads %s, %s, %s", p.dump.path, p.dump.describe(), found.describe())}
	for _, d := range p.leftovers {
		if d.busy() {
			lines = append(lines, "careful: leaves "+d.Name+", of "+d.Token()+": somebody uses it")
			continue
		}
		lines = append(lines, fmt.Sprintf("drops %s, %s, left by %s, of %s", d.Name, fact.FormatBytes(float64(d.Size)), d.Token(), d.At().Format(time.RFC3339)))
	}
	return append(lines,
		fmt.Sprintf("creates the database %s of %s at %s, at most %d sessions",
			p.scratch, orTemplate0(p.template), p.server.Target(), scratchSessions),
		fmt.Sprintf("restores into it with %s as %s, in one transaction, without owners and privileges", p.program, p.verify.User),
		p.passedOver(),
		"counts, checks indexes, and drops it again")
}

// passedOver says what of the dump is not restored.
func (p *restorePlan) passedOver() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(p.over)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", kind, p.over[kind]))
	}
	if p.dump.format != plainDump {
		parts = append(parts, "owners, privileges, publications, subscriptions and tablespaces, by pg_restore's options")
	}
	return "passed over: " + cmp.Or(strings.Join(parts, ", "), "nothing")
}

func (f dumpFindings) describe() string {
	text := fmt.Sprintf("%d tables, %d rows", f.tables, f.rows)
	if f.from != "" {
		text += ", of PostgreSQL " + f.from
	}
	return text
}

func (p *restorePlan) cautions(found dumpFindings) []string {
	var lines []string
	if found.damage != "" {
		lines = append(lines, "careful: the dump is not whole: "+found.damage)
	}
	for _, name := range p.unmarked {
		lines = append(lines, "careful: "+name+" looks like a scratch database and lacks its comment: it is left alone")
	}
	for _, name := range p.owned {
		lines = append(lines, "careful: "+p.verify.User+" owns the database "+name+": code of the dump could rename it or change its settings")
	}
	if p.dump.format == plainDump {
		lines = append(lines, p.program.cautions()...)
	}
	if p.free < 0 {
		lines = append(lines, "careful: the free space of the server's disk cannot be seen from here")
	}
	if p.keep {
		lines = append(lines, "careful: if the test fails, the database stays, with all the data of the dump")
	}
	return lines
}

// restrictedSince are the releases whose psql knows \restrict, and fixedSince
// those of August 2026, in which a dump cannot get out of it again.
var (
	restrictedSince = map[int]int{13: 22, 14: 19, 15: 14, 16: 10, 17: 6, 18: 0}
	fixedSince      = map[int]int{14: 24, 15: 19, 16: 15, 17: 11, 18: 5}
)

// restricts reports whether psql can be forbidden its own commands.
func (p Program) restricts() bool {
	minor, known := restrictedSince[p.Major]
	return p.Major > 18 || known && p.Minor >= minor
}

func (p Program) cautions() []string {
	if minor, known := fixedSince[p.Major]; p.Major > 18 || known && p.Minor >= minor {
		return nil
	}
	if p.restricts() {
		return []string{fmt.Sprintf("careful: %s is older than the releases of August 2026, in which a plain dump cannot lift psql's restriction; this one is read first and its own \\restrict lines are left out", p)}
	}
	return []string{fmt.Sprintf("careful: %s cannot be forbidden its own commands; that the dump holds none is known only from reading it", p)}
}
