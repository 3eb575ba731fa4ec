package retention

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Compress replaces files that nobody writes any more by compressed ones.
var Compress = module(checks.Module{
	Name:   "file.compress",
	Doc:    "Compresses the files of a directory that are old enough and that no process has open, and removes an original only when its copy was read back whole",
	Effect: checks.Reversible, Danger: 1, Repeatable: true,
	Crash:  "a file that was begun stays as it was beside a half copy, which the next run removes; those before it are compressed",
	Params: params("*.log", "8d"),
	Facts:  Prune.Facts,
	Warn:   "changed > 0", Fail: "errors > 0", Source: "guide (7 full days); proposed",
	Timeout: 10 * time.Minute,
	Example: "use: file.compress\nwith:\n  dir: /var/log/advanced-lms\n  glob: \"*.log\"\n  older_than: 8d",
	Preview: previewCompress,
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return each(ctx, env, args, func(root *os.Root, c candidate) error {
			env.Printf("compressing %s", c.name)
			return compress(ctx, root, c, env.Token)
		})
	},
	Probe: func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(env, args, func(root *os.Root, name string) bool {
			_, original := root.Lstat(name)
			_, copied := root.Lstat(name + suffix)
			return original == nil || copied != nil
		})
	},
})

const suffix = ".gz"

func previewCompress(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := look(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer s.close()
	f := s.preview("compress")
	var largest int64
	for _, c := range s.chosen {
		largest = max(largest, c.size)
		if _, err := s.root.Lstat(c.name + suffix); err == nil {
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s has a compressed copy already, and will fail", c.name))
		}
	}
	free, err := s.free()
	if err != nil {
		return checks.Findings{}, err
	}
	if free < largest {
		return checks.Findings{}, checks.Failed(checks.Limit, "%d bytes are free and the largest file has %d: a copy may not fit", free, largest)
	}
	return f, nil
}

func (s *survey) free() (int64, error) {
	d, err := s.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("looking for room: %w", err)
	}
	defer d.Close()
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(d.Fd()), &disk); err != nil {
		return 0, fmt.Errorf("looking for room: %w", err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil
}

// compress makes a copy beside the file, reads it back, gives it the file's
// owner, mode and time, and only then removes the file.
func compress(ctx context.Context, root *os.Root, c candidate, token string) (err error) {
	draft := "." + c.name + "." + draftMark(token)
	defer func() {
		if err != nil {
			root.Remove(draft) //nolint:errcheck // it may not have been made
		}
	}()
	in, err := root.OpenFile(c.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if now, ok := candidateOf(c.name, info); !ok || now.identity() != c.identity() {
		return errors.New("it is another file than the preview named")
	}
	want, err := writeCopy(ctx, root, draft, in, c)
	if err != nil {
		return fmt.Errorf("writing the copy: %w", err)
	}
	got, err := readBack(ctx, root, draft)
	if err != nil {
		return fmt.Errorf("reading the copy back: %w", err)
	}
	if got != want {
		return errors.New("the copy does not hold what the file holds")
	}
	if again, err := root.Lstat(c.name); err != nil {
		return err
	} else if now, ok := candidateOf(c.name, again); !ok || now.identity() != c.identity() {
		return errors.New("it was written to meanwhile")
	}
	if err := root.Link(draft, c.name+suffix); err != nil { // never over another file
		return err
	}
	return errors.Join(root.Remove(c.name), root.Remove(draft))
}

func draftMark(token string) string {
	if len(token) > 8 {
		token = token[len(token)-8:]
	}
	return "opsdeck-" + token
}

type sum struct {
	hash [sha256.Size]byte
	size int64
}

func writeCopy(ctx context.Context, root *os.Root, draft string, in io.Reader, c candidate) (s sum, err error) {
	root.Remove(draft) //nolint:errcheck // a half copy of a run that was killed
	out, err := root.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	hash := sha256.New()
	zip := gzip.NewWriter(out)
	zip.Name, zip.ModTime = c.name, c.written
	if s.size, err = io.Copy(io.MultiWriter(zip, hash), reading{ctx, in}); err != nil {
		return s, err
	}
	if err := zip.Close(); err != nil {
		return s, err
	}
	hash.Sum(s.hash[:0])
	if err := errors.Join(out.Chmod(c.mode), out.Chown(c.uid, c.gid), out.Sync()); err != nil {
		return s, err
	}
	return s, root.Chtimes(draft, time.Now(), c.written)
}

func readBack(ctx context.Context, root *os.Root, draft string) (s sum, err error) {
	in, err := root.OpenFile(draft, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return s, err
	}
	defer in.Close()
	zip, err := gzip.NewReader(in)
	if err != nil {
		return s, err
	}
	hash := sha256.New()
	if s.size, err = io.Copy(hash, reading{ctx, zip}); err != nil { //nolint:gosec // our own copy, as long as the file
		return s, err
	}
	hash.Sum(s.hash[:0])
	return s, zip.Close()
}

// reading ends with its context.
type reading struct {
	ctx context.Context
	io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
