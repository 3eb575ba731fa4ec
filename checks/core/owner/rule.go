package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// TrustFile is where root names further owners whose files may steer opsdeck.
const TrustFile = "/etc/opsdeck/trusted-owners"

// maxTrustFile bounds the size of a file of trusted owners, in bytes.
const maxTrustFile = 64 << 10

// A Rule decides whose files may steer opsdeck. The zero Rule accepts root's alone.
type Rule struct {
	uid      uint32            // the user that opsdeck runs as
	trusted  map[uint32]string // further owners, and the line that names each
	named    []string          // the files in which an owner may be named, for remedies
	notes    []string
	accounts accounts
}

// Current is the rule for the effective user, with the trusted owners as their
// files name them now. A file of trusted owners that breaks the rule itself, or
// that cannot be understood, is an error; one that is not there trusts no one.
func Current() (Rule, error) {
	return current(uint32(os.Geteuid()), TrustFile, accounts{})
}

func current(uid uint32, system string, known accounts) (Rule, error) {
	r := Rule{uid: uid, named: []string{system}, accounts: known}
	if err := r.trust(Rule{accounts: known, named: r.named}, system); err != nil {
		return Rule{}, err
	}
	if uid == 0 {
		return r, nil
	}
	user, ok := known.byUID(uid)
	if !ok || !filepath.IsAbs(user.home) {
		return r, nil
	}
	own := filepath.Join(user.home, ".config", "opsdeck", "trusted-owners")
	r.named = append(r.named, own)
	if err := r.trust(Rule{uid: uid, accounts: known, named: r.named}, own); err != nil {
		return Rule{}, err
	}
	return r, nil
}

// trust adds the owners that a file names; by is the rule for that file itself.
func (r *Rule) trust(by Rule, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	text, err := by.Read(path, maxTrustFile)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.notes = append(r.notes, fmt.Sprintf("%s cannot be read by this user, so the owners in it are not trusted", path))
		return nil
	case err != nil:
		return fmt.Errorf("reading the trusted owners: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		name, _, _ := strings.Cut(line, "#")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		at := fmt.Sprintf("%s:%d", path, number)
		if strings.ContainsAny(name, " \t:,/") {
			return fmt.Errorf("%s:%d: found %q, expected one user name or uid on a line", at, 1, name)
		}
		uid, ok := r.accounts.lookup(name)
		if !ok {
			r.notes = append(r.notes, fmt.Sprintf("%s: there is no user %q in /etc/passwd", at, name))
			continue
		}
		if r.trusted == nil {
			r.trusted = map[uint32]string{}
		}
		r.trusted[uid] = at
	}
	return nil
}

// Notes are what a person should know of the files of trusted owners: a name
// that no user has, a file that this user cannot read.
func (r Rule) Notes() []string { return r.notes }

// Trusted are the further owners, each with the line that names it, by uid.
func (r Rule) Trusted() []string {
	var list []string
	for _, uid := range slices.Sorted(maps.Keys(r.trusted)) {
		list = append(list, r.accounts.describe(uid)+" by "+r.trusted[uid])
	}
	return list
}

// accepts reports whether files of that owner may steer.
func (r Rule) accepts(uid uint32) bool {
	_, trusted := r.trusted[uid]
	return r.own(uid) || trusted
}

// own reports whether the owner is root or the user itself.
func (r Rule) own(uid uint32) bool { return uid == 0 || uid == r.uid }

// people names those whose files are accepted, for refusals.
func (r Rule) people() string {
	who := "root"
	if r.uid != 0 {
		who += " or " + r.accounts.describe(r.uid)
	}
	return who
}

// describe is "name (uid)", or the number where it has no name.
func (a accounts) describe(uid uint32) string {
	if user, ok := a.byUID(uid); ok {
		return fmt.Sprintf("%s (%d)", user.name, uid)
	}
	return strconv.FormatUint(uint64(uid), 10)
}
