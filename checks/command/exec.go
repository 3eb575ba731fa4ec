package command

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	// politeness is how long a command may take to end after SIGTERM before
	// SIGKILL: what systemctl and docker users expect, short of their 90 s.
	politeness = 5 * time.Second

	// drain is how long output is still read after the command has ended, if
	// something it left behind holds the other end of the pipe.
	drain = 300 * time.Millisecond

	// dying is how long a killed process may take to be gone. One in
	// uninterruptible sleep takes longer; it is then left to itself and named.
	dying = 400 * time.Millisecond

	// maxOutput is the output after which a command is ended, unless its call
	// says otherwise.
	maxOutput = 64 << 20
)

// An Option changes how an Exec made by NewExec works.
type Option func(*executor)

// Grace sets the time between SIGTERM and SIGKILL; 5 s by default.
func Grace(d time.Duration) Option { return func(x *executor) { x.grace = d } }

// Zone sets TZ for the commands; by default they get opsdeck's own.
func Zone(zone *time.Location) Option { return func(x *executor) { x.zone = zone.String() } }

// Reaper says that this process inherits the orphans of what it starts
// (PR_SET_CHILD_SUBREAPER) and starts nothing but through this Exec, as a step
// does. A child it did not start is then something that a command left behind,
// even one that changed its session and dropped its environment.
func Reaper() Option { return func(x *executor) { x.reaper = true } }

// executor is what an Exec keeps from one command to the next.
type executor struct {
	grace  time.Duration
	zone   string
	reaper bool

	mu      sync.Mutex
	leaders map[int]bool // processes started and not yet reaped
}

// NewExec makes the Exec that checks.Env holds.
//
// Argv[0] is an absolute path that passes the rule of ownership, or a bare name
// that is looked up in the system's own folders and nowhere else, and belongs to
// root. Those of these folders that others than root can change are left out, as
// they are of the command's PATH. The script of an interpreter, Dir and Config are held to the rule too.
// The command gets no terminal, no descriptor of ours, a
// session and process group of its own, and an environment made from nothing.
// When ctx ends it gets SIGTERM and, after the grace, SIGKILL, its whole group
// with it. What outlives it is ended and named in Output.Left. The Exec
// returns at most a second later than grace after the end of ctx, whatever the
// command does; an error then says why the Output is not the whole story.
func NewExec(options ...Option) checks.Exec {
	x := &executor{grace: politeness, zone: os.Getenv("TZ"), leaders: map[int]bool{}}
	for _, option := range options {
		option(x)
	}
	return x.run
}

func (x *executor) run(ctx context.Context, call checks.Call) (checks.Output, error) {
	if err := valid(call); err != nil {
		return checks.Output{}, err
	}
	program, err := find(call.Argv[0])
	if err != nil {
		return checks.Output{}, err
	}
	if err := steered(program, call); err != nil {
		return checks.Output{}, err
	}
	if err := ctx.Err(); err != nil {
		return checks.Output{}, fmt.Errorf("before starting %s: %w", program, err)
	}
	p, err := x.start(program.Path, call)
	if err != nil {
		return checks.Output{}, err
	}
	return p.finish(ctx)
}

// valid refuses what the kernel would cut short or misread.
func valid(call checks.Call) error {
	if len(call.Argv) == 0 || call.Argv[0] == "" {
		return checks.Failed(checks.Internal, "a command without a program")
	}
	for _, arg := range call.Argv {
		if strings.ContainsRune(arg, 0) {
			return checks.Failed(checks.Internal, "an argument of %s contains a NUL byte", call.Argv[0])
		}
	}
	for _, pair := range call.Env {
		name, _, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.ContainsRune(pair, 0) {
			return checks.Failed(checks.Internal, "an environment entry for %s is not NAME=value", call.Argv[0])
		}
	}
	return nil
}

// environ is all that a command knows of its surroundings. The mark is how
// its descendants are known again wherever they went.
func (x *executor) environ(mark string, more []string) []string {
	env := []string{"PATH=" + searchPath(), "LANG=C.UTF-8", "HOME=" + home()}
	if x.zone != "" {
		env = append(env, "TZ="+x.zone)
	}
	return append(append(env, more...), markName+"="+mark)
}

// home is the home of the user opsdeck runs as, by the user database: the
// variable may be that of whoever called sudo.
func home() string {
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && u.HomeDir != "" {
		return u.HomeDir
	}
	return "/"
}
