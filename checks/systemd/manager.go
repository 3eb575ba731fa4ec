package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A manager is systemd, asked one way or the other.
type manager interface {
	// properties are those that a state is made of. A unit that systemd does
	// not know has them too.
	properties(ctx context.Context, unit string) (properties, error)

	// reload has the unit reload and returns how that ended: "done", or
	// another word of systemd's.
	reload(ctx context.Context, unit string) (string, error)

	close()
}

// open reaches systemd: over its bus, or through systemctl where there is none.
// A bus that answers and refuses is not gone round.
func open(ctx context.Context, env checks.Env) (manager, error) {
	if err := booted(env.Root); err != nil {
		return nil, err
	}
	over, err := openBus(ctx, filepath.Join(env.Root, "run/dbus/system_bus_socket"))
	switch {
	case err == nil:
		return over, nil
	case ctx.Err() != nil || errors.Is(err, fs.ErrPermission) || checks.ClassOf(err) == checks.Denied:
		return nil, err
	case env.Exec == nil:
		return nil, fmt.Errorf("%w; and no commands can be run here", err)
	}
	return show{env.Exec, err}, nil
}

// booted tells whether systemd runs this host, as sd_booted does.
func booted(root string) error {
	if root == "" {
		return checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	_, err := os.Stat(filepath.Join(root, "run/systemd/system"))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking whether systemd runs this host: %w", err)
	}
	first, err := hostfs.Read(filepath.Join(root, "proc/1/comm"), maxFile)
	if err != nil {
		return checks.Failed(checks.Missing, "systemd does not run this host: there is no /run/systemd/system")
	}
	return checks.Failed(checks.Missing, "systemd does not run this host: process 1 is %.40s", strings.TrimSpace(string(first)))
}

// look reads one unit.
func look(ctx context.Context, m manager, unit string) (state, error) {
	p, err := m.properties(ctx, unit)
	if err != nil {
		return state{}, fmt.Errorf("asking systemd for %s: %w", unit, err)
	}
	return stateOf(unit, p)
}
