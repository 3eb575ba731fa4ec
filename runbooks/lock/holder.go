package lock

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// A Claim is what the holder of a target says of itself.
type Claim struct {
	Who  string    `json:"who"`  // the person
	What string    `json:"what"` // run and item
	PID  int       `json:"pid"`
	At   time.Time `json:"at"`
}

// A Holder is the process that holds a target.
type Holder struct {
	PID   int    // by /proc/locks; 0 if it cannot be seen from here
	User  string // by /proc; "" if it cannot be read
	Claim Claim  // what that process has written; zero if it has written nothing
}

// String is the holder for an error message.
func (h Holder) String() string {
	if h.PID == 0 {
		return "a process that cannot be seen from here"
	}
	text := fmt.Sprintf("process %d", h.PID)
	if h.User != "" {
		text += " of " + h.User
	}
	if h.Claim.Who != "" {
		text += fmt.Sprintf(", which says: %s for %s, since %s", h.Claim.Who, h.Claim.What, h.Claim.At.Format("2006-01-02 15:04:05 MST"))
	}
	return text
}

// Who holds the target now. It looks and does not try: a try would keep another
// process from taking it. A process that /proc/locks does not show, as of
// another container, is not seen.
func (f Folder) Who(target string) (Holder, bool) {
	for _, in := range f.all() {
		if by, held := in.who(target); held {
			return by, true
		}
	}
	return Holder{}, false
}

// who is the holder in this folder alone.
func (f Folder) who(target string) (Holder, bool) {
	dir, err := f.open()
	if err != nil {
		return Holder{}, false
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	fd, err := unix.Openat(int(dir.Fd()), name(target), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Holder{}, false // it was never taken
	}
	file := os.NewFile(uintptr(fd), name(target))
	defer file.Close() //nolint:errcheck // nothing was written
	if f.fit(file) != nil {
		return Holder{}, false
	}
	return holderOf(file)
}

// holderOf is the process that holds the lock on an open file.
func holderOf(file *os.File) (Holder, bool) {
	id, err := idOf(file)
	if err != nil {
		return Holder{}, false
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return Holder{}, false
	}
	defer locks.Close() //nolint:errcheck // opened for reading
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		// 1: FLOCK  ADVISORY  WRITE 4711 00:1a:2049 0 EOF; one that waits has "->" behind the number.
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != id {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || pid <= 0 {
			return Holder{}, true
		}
		return Holder{PID: pid, User: userOf(pid), Claim: claimIn(file, pid)}, true
	}
	return Holder{}, false
}

// idOf is the file as /proc/locks names it: device and inode. The device is that
// of the file system, which for btrfs and overlayfs is another than fstat tells.
func idOf(file *os.File) (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return "", err
	}
	major, minor := unix.Major(stat.Dev), unix.Minor(stat.Dev)
	if m, n, err := deviceOfMount(file); err == nil {
		major, minor = m, n
	}
	return fmt.Sprintf("%02x:%02x:%d", major, minor, stat.Ino), nil
}

// deviceOfMount is the device of the file system that an open file lies on.
func deviceOfMount(file *os.File) (major, minor uint32, err error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", file.Fd()))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(info), "mnt_id:")
	id, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == strings.TrimSpace(id) {
			_, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor)
			return major, minor, err
		}
	}
	return 0, 0, errors.New("the file's mount is not listed")
}

// userOf is the user of a process: its name, or its number.
func userOf(pid int) string {
	var stat unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(pid), &stat) != nil {
		return ""
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// maxClaim bounds what is read of a claim, in bytes.
const maxClaim = 4096

// claimIn is what the process has written into the file. Another process's claim
// is left over from before, and is not shown.
func claimIn(file *os.File, pid int) Claim {
	var c Claim
	err := json.NewDecoder(io.NewSectionReader(file, 0, maxClaim)).Decode(&c)
	if err != nil || c.PID != pid {
		return Claim{}
	}
	c.Who, c.What = clean.Line(c.Who, 80), clean.Line(c.What, 80)
	return c
}
