package clean

import (
	"cmp"
	"slices"
	"strings"
)

// layers is how many encodings are taken off, one inside the other: JSON in
// base64, percent in percent.
const layers = 2

// values are the secrets that a Redactor looks for. They do not change once
// made, so that any number of goroutines search with them.
type values struct {
	all      []string       // longest first
	byFirst  [256][]string  // the same by their first byte
	shift    [1 << 12]uint8 // how far a search may go on behind two bytes (Wu and Manber)
	shortest int
	longest  int
}

// pairAt is the place of two bytes in the table of shifts. Pairs share places.
func pairAt(a, b byte) int { return (int(a)<<5 ^ int(b)) & (1<<12 - 1) }

// A span is a part of a text, in bytes.
type span struct{ from, to int }

// newValues makes the set of the secrets' written forms. What a decoder can
// undo has no form of its own here.
func newValues(secrets []string) *values {
	v := &values{}
	for _, s := range secrets {
		v.all = append(v.all, s, strings.ReplaceAll(s, " ", "+")) // a form's blank, which percent decoding leaves
		for _, quoted := range []string{`'\''`, `'"'"'`, `''`} {  // a quote in a quoted text: sh, Python's shlex, SQL
			v.all = append(v.all, strings.ReplaceAll(s, `'`, quoted))
		}
		for _, doubled := range []string{`"`, "$", "%"} { // CSV, docker compose, systemd
			v.all = append(v.all, strings.ReplaceAll(s, doubled, doubled+doubled))
		}
	}
	if len(v.all) == 0 {
		return nil
	}
	slices.SortFunc(v.all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	v.all = slices.Compact(v.all)
	v.longest, v.shortest = len(v.all[0]), len(v.all[len(v.all)-1])
	reach := v.reach()
	for i := range v.shift {
		v.shift[i] = uint8(reach - 1)
	}
	for _, s := range v.all {
		v.byFirst[s[0]] = append(v.byFirst[s[0]], s)
		for i := 1; i < reach; i++ {
			at := &v.shift[pairAt(s[i-1], s[i])]
			*at = min(*at, uint8(reach-1-i))
		}
	}
	return v
}

// reach is how many bytes of every value the table of shifts knows.
func (v *values) reach() int { return min(v.shortest, 255) }

// A search is one look at one text.
type search struct {
	*values
	more bool // text will follow: what may be the beginning of a secret counts
}

// found is what a search found in a text.
type found struct {
	hits []span
	open int // where a secret may begin that the text's end cuts; its length if none does
}

// scan finds the secrets of a text as it is, and under at most depth
// encodings. atEnd says that more may follow directly behind the text.
func (s search) scan(text string, depth int, atEnd bool) found {
	f := found{open: len(text)}
	s.plain(text, &f)
	if atEnd && s.more {
		s.cut(text, &f)
	}
	if depth == 0 {
		return f
	}
	if escaped(text) {
		l := newLattice(text)
		l.layer()
		if depth > 1 {
			for _, view := range l.views() {
				s.runs(view, depth-1, atEnd, &f)
			}
			l.layer()
		}
		s.escapes(l, atEnd, &f)
	}
	s.runs(cells{text: text}, depth, atEnd, &f)
	return f
}

// plain finds secrets as they are.
func (s search) plain(text string, f *found) {
	reach := s.reach()
	for i := reach - 1; i < len(text); {
		if shift := s.shift[pairAt(text[i-1], text[i])]; shift > 0 {
			i += int(shift)
			continue
		}
		at := i - reach + 1
		for _, value := range s.byFirst[text[at]] {
			if strings.HasPrefix(text[at:], value) {
				f.hits = append(f.hits, span{at, at + len(value)})
				break
			}
		}
		i++
	}
}

// cut finds a secret that the end of the text goes through.
func (s search) cut(text string, f *found) {
	for i := max(0, len(text)-s.longest+1); i < f.open; i++ {
		for _, value := range s.byFirst[text[i]] {
			if strings.HasPrefix(value, text[i:]) {
				f.open = i
				return
			}
		}
	}
}

// without is the text with a mark in place of every hit; hits that overlap are
// one.
func without(text string, hits []span) string {
	if len(hits) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, hit := range merged(hits) {
		b.WriteString(text[at:hit.from])
		b.WriteString(Redacted)
		at = hit.to
	}
	b.WriteString(text[at:])
	return b.String()
}

func merged(hits []span) []span {
	slices.SortFunc(hits, func(a, b span) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	all := hits[:0]
	for _, hit := range hits {
		if n := len(all); n > 0 && hit.from < all[n-1].to {
			all[n-1].to = max(all[n-1].to, hit.to)
			continue
		}
		all = append(all, hit)
	}
	return all
}
