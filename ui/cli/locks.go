package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
	"github.com/advanced-lms/opsdeck/runbooks/lock"
)

// ownLocks is the folder of locks beside the sites' states. No site's folder can
// have this name.
const ownLocks = ".locks"

// locks is where this process keeps and looks for locks on targets. A folder of
// the user's own does not depend on --state: two state directories of one user
// exclude each other.
func (p *program) locks(w *world) (lock.Folder, error) {
	var own []string
	if state, err := xdg.State(p.Env); err == nil {
		own = append(own, filepath.Join(state, "opsdeck", ownLocks))
	}
	return lock.Find(append(own, filepath.Join(filepath.Dir(w.dir), ownLocks))...)
}

// holder is who works at a target now; "" if no process does.
func (p *program) holder(w *world, target string) string {
	folder, err := p.locks(w)
	if err != nil {
		return "" // no action can begin: its process says why
	}
	if h, held := folder.Who(target); held {
		return h.String()
	}
	return ""
}

// examineLocks says whether actions of other users at the same targets are
// excluded. It makes no folder.
func examineLocks() []finding {
	folder, err := lock.Shared()
	if err != nil {
		level := checks.Warn
		if _, missing := os.Lstat(lock.SharedPath); errors.Is(missing, fs.ErrNotExist) {
			level = checks.OK // a host of one person needs none
		}
		return []finding{{level, "locks", "other users of this host are not excluded from a target that an action changes: " + err.Error(),
			"opsdeck init --system prints the line for " + lock.SharedPath}}
	}
	return []finding{{checks.OK, "locks", "all users of the group " + lock.Group + " exclude each other by " + folder.Path(), ""}}
}
