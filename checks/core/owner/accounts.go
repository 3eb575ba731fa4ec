package owner

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxAccounts bounds what is read of passwd, group and nsswitch.conf, in bytes.
// A larger file is not understood, and what depends on it is refused.
const maxAccounts = 4 << 20

// accounts reads who exists on this host, from the files below etc; "" is /etc.
type accounts struct{ etc string }

// An account is one line of passwd.
type account struct {
	name     string
	uid, gid uint32
	home     string
}

// all are the users of passwd, in its order.
func (a accounts) all() ([]account, error) {
	text, err := a.read("passwd")
	if err != nil {
		return nil, err
	}
	var list []account
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 6 {
			continue
		}
		uid, badUID := strconv.ParseUint(f[2], 10, 32)
		gid, badGID := strconv.ParseUint(f[3], 10, 32)
		if badUID == nil && badGID == nil {
			list = append(list, account{f[0], uint32(uid), uint32(gid), f[5]})
		}
	}
	return list, nil
}

func (a accounts) byUID(uid uint32) (account, bool) {
	list, err := a.all()
	at := slices.IndexFunc(list, func(u account) bool { return u.uid == uid })
	if err != nil || at < 0 {
		return account{}, false
	}
	return list[at], true
}

// lookup is the uid of a name, or of a number that stands for itself: users of
// a directory service are not in passwd.
func (a accounts) lookup(name string) (uint32, bool) {
	list, err := a.all()
	if at := slices.IndexFunc(list, func(u account) bool { return u.name == name }); err == nil && at >= 0 {
		return list[at].uid, true
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	return uint32(uid), err == nil
}

// private reports whether the group is the private one of that user: the user's
// primary group, with no other member, and no other user's primary group. An
// error means that it could not be determined.
func (a accounts) private(gid, uid uint32) (bool, error) {
	if err := a.onlyFiles(); err != nil {
		return false, err
	}
	users, err := a.all()
	if err != nil {
		return false, err
	}
	names := map[string]bool{}
	primary := false
	for _, u := range users {
		switch {
		case u.uid == uid:
			names[u.name] = true
			primary = primary || u.gid == gid
		case u.gid == gid:
			return false, nil
		}
	}
	if !primary {
		return false, nil
	}
	members, err := a.members(gid)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(members, func(name string) bool { return !names[name] }), nil
}

// members are the users that the lines of a group name.
func (a accounts) members(gid uint32) ([]string, error) {
	text, err := a.read("group")
	if err != nil {
		return nil, err
	}
	var members []string
	found := false
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[2] != strconv.FormatUint(uint64(gid), 10) {
			continue
		}
		found = true
		for name := range strings.SplitSeq(f[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				members = append(members, name)
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("group %d is not in the group file", gid)
	}
	return members, nil
}

// groupName is the group's name, or its number.
func (a accounts) groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	text, err := a.read("group")
	if err != nil {
		return number
	}
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) >= 3 && f[2] == number {
			return f[0] + " (" + number + ")"
		}
	}
	return number
}

// onlyFiles fails where users or groups also come from a directory service: its
// members of a group cannot be listed here. systemd adds only accounts of its
// own making, which it gives to no person.
func (a accounts) onlyFiles() error {
	text, err := a.read("nsswitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the C library's default is the files
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		database, sources, ok := strings.Cut(line, ":")
		if database = strings.TrimSpace(database); !ok || (database != "passwd" && database != "group") {
			continue
		}
		for source := range strings.FieldsSeq(sources) {
			if source != "files" && source != "systemd" && !strings.HasPrefix(source, "[") && !strings.HasSuffix(source, "]") {
				return fmt.Errorf("users and groups also come from %q (nsswitch.conf)", source)
			}
		}
	}
	return nil
}

func (a accounts) read(name string) (string, error) {
	text, err := hostfs.Read(filepath.Join(cmp.Or(a.etc, "/etc"), name), maxAccounts)
	return string(text), err
}
