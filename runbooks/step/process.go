package step

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
)

// Act does what an intent says. It is given what an action has to itself, and
// ends when ctx does.
type Act func(ctx context.Context, in Intent, own checks.Own) checks.Result

// ErrTaken says that a step was started from the folder before.
var ErrTaken = errors.New("a step was started from this folder before")

// ballast is kept in the folder and given up when the disk is full, so that
// the result of what was done can be written all the same.
const ballast = 256 << 10

// resultPatience is how long a step tries to write its result to a full disk.
const resultPatience = 10 * time.Minute

// Main is the step's process. It does what the folder's intent says, once, and
// leaves the result in the folder. wrap makes output fit to be kept: redacted.
func Main(ctx context.Context, f Folder, wrap func(io.Writer) io.Writer, act Act) error {
	harden()
	in, err := f.Intent()
	if err != nil {
		return err
	}
	lock, err := f.take()
	if err != nil {
		return err
	}
	defer lock.Close()
	card, err := Self()
	if err != nil {
		return err
	}
	out, err := newOutput(f, in.MaxOutput)
	if err != nil {
		return err
	}
	if err := f.reserve(); err != nil {
		return err
	}
	crash("step-before-started")
	if err := f.write(cardFile, card); err != nil {
		return err
	}
	crash("step-after-started")
	began := time.Now()
	result, cancelled := f.perform(ctx, in, out, wrap, act)
	crash("step-before-result")
	if ended := f.terminated(cancelled); ended {
		endFamily()
		return errTerminated
	}
	outcome := Outcome{Result: result, Started: began, Ended: time.Now(), Cancelled: cancelled, Left: endFamily()}
	out.finish(&outcome)
	usage(&outcome)
	err = f.deliver(outcome)
	crash("step-after-result")
	return err
}

// terminated reports whether the act was ended by a signal that nobody sent
// through the folder: the host goes down, or somebody kills by hand. What came
// of it is then not for this process to say: whoever looks next finds it gone
// and looks from outside.
func (f Folder) terminated(cancelled bool) bool {
	if !cancelled {
		return false
	}
	_, err := os.Lstat(f.path(cancelFile))
	return err != nil
}

var errTerminated = errors.New("ended by a signal: no result is left")

// harden makes the process one whose memory is nobody's and whose children
// cannot run away from it.
func harden() {
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) //nolint:errcheck // children that run away are then not seen
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)        //nolint:errcheck // hardening only
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})    //nolint:errcheck // hardening only
	syscall.Umask(0o077)
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
}

// take makes sure that nobody else starts from the folder, now or later.
func (f Folder) take() (*os.File, error) {
	lock, err := os.OpenFile(f.path(lockFile), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the step: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(ErrTaken, lock.Close())
	}
	for _, name := range []string{cardFile, resultFile, buriedFile} {
		if _, err := os.Lstat(f.path(name)); err == nil {
			return nil, errors.Join(ErrTaken, lock.Close())
		}
	}
	return lock, nil
}

// Bury makes sure that no step ever starts from the folder: one whose start
// nobody saw must not begin after its outcome was decided. It fails if a step
// has begun.
func (f Folder) Bury() error {
	lock, err := f.take()
	if err != nil {
		return err
	}
	defer lock.Close()
	return f.place(buriedFile, []byte("never started\n"), true)
}

// locked reports whether a step holds the folder.
func (f Folder) locked() bool {
	lock, err := os.OpenFile(f.path(lockFile), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// perform runs the act until it returns. A signal or the cancel file ends its
// context; a panic of it is a result.
func (f Folder) perform(ctx context.Context, in Intent, out *output, wrap func(io.Writer) io.Writer, act Act) (result checks.Result, cancelled bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	defer signal.Stop(terminated)
	out.tooMuch = func() { cancel(errTooMuch) }
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-terminated:
				cancel(errAsked)
				return
			case <-tick.C:
				if _, err := os.Lstat(f.path(cancelFile)); err == nil {
					cancel(errAsked)
					return
				}
			}
		}
	}()
	defer func() { cancel(nil); <-watching }()
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "%s panicked: %v\n%s\n", in.Module, p, debug.Stack())
			result = failed(in, fmt.Sprintf("%s panicked: %v (the stack is in %s)", in.Module, p, f.path(logFile)))
		}
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errAsked):
			cancelled = true
		case errors.Is(cause, errTooMuch):
			result = failed(in, errTooMuch.Error())
		}
	}()
	kept := wrap(out)
	defer func() {
		if c, ok := kept.(io.Closer); ok {
			c.Close() //nolint:errcheck // output never fails
		}
	}()
	own := checks.Own{Out: kept, Token: in.Token, Dir: f.Scratch(), Before: in.Before, Progress: f.progress()}
	crash("step-in-act")
	return act(ctx, in, own), false
}

var (
	errAsked   = errors.New("somebody asked it to end")
	errTooMuch = errors.New("it wrote ten times as much output as is kept, and was ended")
)

func failed(in Intent, why string) checks.Result {
	return checks.Result{ID: in.Check, Module: in.Module, Target: in.Target, Level: checks.Unknown, At: time.Now(), Err: why, Class: checks.Internal, Note: why}
}

// progress writes how far the act is, at most four times a second.
func (f Folder) progress() func(checks.Progress) {
	var last time.Time
	return func(p checks.Progress) {
		now := time.Now()
		if now.Sub(last) < 250*time.Millisecond && p.Done < p.Total {
			return
		}
		last = now
		raw := fmt.Appendf(nil, `{"Done":%s,"Total":%s,"What":%s,"At":%s}`, number(p.Done), number(p.Total), strconv.Quote(strings.ToValidUTF8(p.What, "?")), strconv.Quote(now.Format(time.RFC3339Nano)))
		f.place(progressFile, raw, false) //nolint:errcheck // nobody's deed depends on it
	}
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// endFamily ends and reaps what the act has left running.
func endFamily() []string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		below := family(os.Getpid())
		below = below[:len(below)-1]
		if len(below) == 0 {
			break
		}
		for _, pid := range below {
			_, state, err := statOf(pid)
			if err != nil {
				continue
			}
			if state != 'Z' {
				left = appendNew(left, fmt.Sprintf("%d %s", pid, nameOf(pid)))
				syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may just have ended
			}
		}
		var status syscall.WaitStatus
		for {
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func nameOf(pid int) string {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(raw))
}

func usage(o *Outcome) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			continue
		}
		o.CPU += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		o.MaxRSS = max(o.MaxRSS, u.Maxrss<<10)
	}
}

// reserve takes room for the result.
func (f Folder) reserve() error {
	if err := f.place(ballastFile, make([]byte, ballast), false); err != nil {
		return fmt.Errorf("reserving room for the result: %w", err)
	}
	return nil
}

// deliver writes the result. On a full disk it gives up the ballast and the
// output's end before it gives up.
func (f Folder) deliver(o Outcome) error {
	err := f.write(resultFile, o)
	for end := time.Now().Add(resultPatience); err != nil && time.Now().Before(end); err = f.write(resultFile, o) {
		os.Remove(f.path(ballastFile)) //nolint:errcheck // it is removed once
		time.Sleep(500 * time.Millisecond)
	}
	os.Remove(f.path(ballastFile)) //nolint:errcheck // what is left of it does no harm
	return err
}

// output is a file with a bound: what is over it is counted, and its end kept.
type output struct {
	file    *os.File
	most    int64
	total   int64
	kept    int64
	end     []byte // the newest bytes that were not kept
	tooMuch func()
}

const keptEnd = 64 << 10

func newOutput(f Folder, most int64) (*output, error) {
	file, err := os.OpenFile(f.path(outputFile), os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the output: %w", err)
	}
	return &output{file: file, most: most, tooMuch: func() {}}, nil
}

// Write keeps what fits. It never fails: output that cannot be kept must not
// end the action.
func (o *output) Write(p []byte) (int, error) {
	o.total += int64(len(p))
	keep := p[:min(int64(len(p)), max(0, o.most-o.kept))]
	n, _ := o.file.Write(keep) // on a full disk the total tells
	o.kept += int64(n)
	if rest := p[n:]; len(rest) > 0 {
		o.end = append(o.end, rest...)
		if over := len(o.end) - keptEnd; over > 0 {
			o.end = append(o.end[:0], o.end[over:]...)
		}
	}
	if o.total > 10*o.most {
		o.tooMuch()
	}
	return len(p), nil
}

// finish writes the end that did not fit and says what there is.
func (o *output) finish(out *Outcome) {
	if len(o.end) > 0 {
		out.Truncated = true
		fmt.Fprintf(o.file, "\n[%d bytes left out]\n", o.total-o.kept-int64(len(o.end))) //nolint:errcheck // the total tells
		o.file.Write(o.end)                                                              //nolint:errcheck // the total tells
	}
	out.Output = o.total
	hash := sha256.New()
	if _, err := o.file.Seek(0, io.SeekStart); err == nil {
		if _, err := io.Copy(hash, o.file); err == nil {
			out.OutputHash = hex.EncodeToString(hash.Sum(nil))
		}
	}
	out.Tail = o.tail()
	o.file.Sync()  //nolint:errcheck // the hash tells
	o.file.Close() //nolint:errcheck // it is synced
}

// tail is the last lines of what was kept.
func (o *output) tail() string {
	const most = 4 << 10
	size, err := o.file.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	raw := make([]byte, min(size, most))
	if _, err := o.file.ReadAt(raw, size-int64(len(raw))); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	if _, rest, ok := strings.Cut(string(raw), "\n"); ok && size > most {
		return rest
	}
	return string(raw)
}
