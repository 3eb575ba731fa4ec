package retention

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
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
		if err := removeUnfinished(env, args); err != nil {
			return checks.Findings{}, err
		}
		return each(ctx, env, args, func(held *hostfs.Dir, c candidate) error {
			env.Printf("compressing %s", c.name)
			return compress(ctx, held, c)
		})
	},
	Probe: func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(env, args, func(held *hostfs.Dir, name string) bool {
			_, original := held.Stat(name)
			_, copied := held.Stat(name + suffix)
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
		if _, err := s.held.Stat(c.name + suffix); err == nil {
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s has a compressed copy already, and will fail", c.name))
		}
	}
	free, err := s.held.Free()
	if err != nil {
		return checks.Findings{}, fmt.Errorf("looking for room: %w", err)
	}
	if free < largest {
		return checks.Findings{}, checks.Failed(checks.Limit, "%d bytes are free and the largest file has %d: a copy may not fit", free, largest)
	}
	return f, nil
}

// removeUnfinished removes what a run that was killed has left of copies of the
// previewed files. The lock on the directory keeps a run of today out.
func removeUnfinished(env checks.Env, args checks.Args) error {
	dir, err := directory(env, args)
	if err != nil {
		return err
	}
	held, err := hold(env, dir)
	if err != nil {
		return err
	}
	defer held.Close() //nolint:errcheck // opened for looking
	names, err := held.Names(mostEntries)
	if err != nil {
		return fmt.Errorf("looking for unfinished copies: %w", err)
	}
	for _, temp := range names {
		original, isCopy := strings.CutSuffix(unfinished(temp), suffix)
		if _, previewed := env.BeforeFact("identity", original); !isCopy || !previewed {
			continue
		}
		info, err := held.Stat(temp)
		if err == nil && info.IsRegular() && info.UID == os.Geteuid() {
			err = held.Remove(temp, info.ID)
		}
		if err != nil {
			return fmt.Errorf("removing an unfinished copy: %w", err)
		}
	}
	return nil
}

func unfinished(temp string) string {
	name, _ := hostfs.Unfinished(temp)
	return name
}

// compress makes a copy beside the file, reads it back, gives it the file's
// owner, mode and time, and only then removes the file.
func compress(ctx context.Context, held *hostfs.Dir, c candidate) error {
	in, info, err := held.Open(c.name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	if candidateOf(info).identity() != c.identity() {
		return errors.New("it is another file than the preview named")
	}
	out, err := held.Create(c.name + suffix)
	if err != nil {
		return fmt.Errorf("writing the copy: %w", err)
	}
	if err := fill(ctx, held, out, in, c); err != nil {
		return errors.Join(err, out.Discard())
	}
	// Never over another file: without Replace.
	if err := out.Commit(hostfs.Attributes{Mode: c.mode, UID: c.uid, GID: c.gid, Modified: c.written}); err != nil {
		return err
	}
	return held.Remove(c.name, c.id)
}

// fill writes the copy and proves that it holds what the file holds.
func fill(ctx context.Context, held *hostfs.Dir, out *hostfs.Pending, in io.Reader, c candidate) error {
	want, err := writeCopy(ctx, out, in, c)
	if err != nil {
		return fmt.Errorf("writing the copy: %w", err)
	}
	got, err := readBack(ctx, out)
	if err != nil {
		return fmt.Errorf("reading the copy back: %w", err)
	}
	if got != want {
		return errors.New("the copy does not hold what the file holds")
	}
	again, err := held.Stat(c.name)
	if err == nil && candidateOf(again).identity() != c.identity() {
		err = errors.New("it was written to meanwhile")
	}
	return err
}

type sum struct {
	hash [sha256.Size]byte
	size int64
}

func writeCopy(ctx context.Context, out io.Writer, in io.Reader, c candidate) (s sum, err error) {
	hash := sha256.New()
	zip := gzip.NewWriter(out)
	zip.Name, zip.ModTime = c.name, c.written
	if s.size, err = io.Copy(io.MultiWriter(zip, hash), reading{ctx, in}); err != nil {
		return s, err
	}
	hash.Sum(s.hash[:0])
	return s, zip.Close()
}

func readBack(ctx context.Context, copied io.ReadSeeker) (s sum, err error) {
	if _, err := copied.Seek(0, io.SeekStart); err != nil {
		return s, err
	}
	zip, err := gzip.NewReader(copied)
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
