package postgres

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

type dumpFormat string

const (
	plainDump     dumpFormat = "plain dump"
	customDump    dumpFormat = "custom-format dump"
	directoryDump dumpFormat = "directory-format dump"
)

// A dumpFile is an opened dump.
type dumpFile struct {
	path   string
	file   *os.File
	info   fs.FileInfo
	size   int64 // of a directory: of all its files
	format dumpFormat
	gzip   bool
	sum    string   // SHA-256, once it was read to its end
	leave  []string // extensions that are left out
}

// leaves reports whether an extension is left out of what is restored.
func (d *dumpFile) leaves(extension string) bool {
	return extension == onlooker || slices.Contains(d.leave, extension)
}

// unfinishedNames end or begin the names of what is still being written.
var unfinishedNames = []string{".tmp", ".part", ".partial", ".incomplete", ".sha256", "~"}

// finished reports whether a file is a dump that nobody writes any more: its
// checksum lies next to it, or nobody has written to it just now.
func finished(path string, now time.Time) (fs.FileInfo, bool) {
	base := filepath.Base(path)
	if strings.HasPrefix(base, ".") || slices.ContainsFunc(unfinishedNames, func(end string) bool { return strings.HasSuffix(base, end) }) {
		return nil, false
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	if _, err := os.Lstat(path + ".sha256"); err == nil {
		return info, true
	}
	age := now.Sub(info.ModTime())
	return info, age > 2*time.Second || age < 0
}

// newestDump is the newest finished file of a backup set: a regular file by
// its own name, for a link may be stale, and not one that is being written.
func newestDump(set checks.BackupSet, now time.Time) (string, error) {
	names, err := filepath.Glob(filepath.Join(set.Dir, cmp.Or(set.Glob, "*")))
	if err != nil {
		return "", checks.Failed(checks.Unconfigured, "backup set %s: pattern %q: %w", set.Name, set.Glob, err)
	}
	newest, at := "", time.Time{}
	for _, name := range names {
		info, ok := finished(name, now)
		if ok && info.ModTime().After(at) {
			newest, at = name, info.ModTime()
		}
	}
	if newest == "" {
		return "", checks.Failed(checks.NoData, "backup set %s: no finished file in %s matches %s", set.Name, set.Dir, cmp.Or(set.Glob, "*"))
	}
	return newest, nil
}

func openDump(env checks.Env, args checks.Args) (*dumpFile, error) {
	path := args.Text("file")
	if path == "" {
		set, err := backupSet(env, args.Text("set"))
		if err != nil {
			return nil, err
		}
		if path, err = newestDump(set, clock(env)); err != nil {
			return nil, err
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	file, err := openFileOrFolder(path)
	if err != nil {
		return nil, fmt.Errorf("opening the dump: %w", err)
	}
	d := &dumpFile{path: path, file: file}
	if err := d.recognise(); err != nil {
		d.close()
		return nil, fmt.Errorf("dump %s: %w", path, err)
	}
	return d, nil
}

// openFileOrFolder opens a dump in whatever format it is: pg_dump's directory
// format is a folder.
func openFileOrFolder(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return hostfs.OpenFolder(path)
	}
	file, _, err := hostfs.Open(path)
	return file, err
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}

func backupSet(env checks.Env, name string) (checks.BackupSet, error) {
	names := slices.Sorted(maps.Keys(env.Site.Backups))
	switch {
	case len(names) == 0:
		return checks.BackupSet{}, checks.NotHere{What: "no backups in the site file, and no file is named"}
	case name == "" && len(names) > 1:
		return checks.BackupSet{}, checks.Failed(checks.Unconfigured, "several backup sets: name one of %s", strings.Join(names, ", "))
	}
	set, ok := env.Site.Backups[cmp.Or(name, names[0])]
	if !ok {
		return set, checks.NotHere{What: fmt.Sprintf("no backup set %q in the site file", name)}
	}
	set.Name = cmp.Or(set.Name, name, names[0])
	return set, nil
}

func (d *dumpFile) close() {
	d.file.Close() //nolint:errcheck // it was only read
}

// recognise goes by what the file is, not by its name.
func (d *dumpFile) recognise() error {
	var err error
	if d.info, err = d.file.Stat(); err != nil {
		return err
	}
	switch {
	case d.info.IsDir():
		return d.recogniseDirectory()
	case !d.info.Mode().IsRegular():
		return checks.Failed(checks.Other, "it is not a regular file")
	case d.info.Size() == 0:
		return checks.Failed(checks.NoData, "0 bytes")
	}
	d.size = d.info.Size()
	begin := make([]byte, 2)
	if _, err := io.ReadFull(d.file, begin); err != nil {
		return err
	}
	d.gzip = bytes.Equal(begin, []byte{0x1f, 0x8b})
	content, err := d.open(context.Background(), nil)
	if err != nil {
		return err
	}
	head, _ := bufio.NewReaderSize(content, 512).Peek(512) // what is wrong with it the scan will say
	d.format = plainDump
	switch {
	case bytes.HasPrefix(head, []byte("PGDMP")):
		d.format = customDump
	case bytes.IndexByte(head, 0) >= 0:
		return checks.Failed(checks.Missing, "neither a plain dump, gzipped or not, nor one of pg_dump's custom format")
	}
	return nil
}

func (d *dumpFile) recogniseDirectory() error {
	if _, err := os.Stat(filepath.Join(d.path, "toc.dat")); err != nil {
		return fmt.Errorf("a directory without a dump's table of contents: %w", err)
	}
	d.format = directoryDump
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			d.size += info.Size()
		}
	}
	return nil
}

// A packedReader reads the file as it lies on the disk.
type packedReader struct {
	ctx    context.Context
	file   io.Reader
	sum    hash.Hash
	read   int64
	report func(read int64) // may be nil
}

func (r *packedReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.file.Read(b)
	r.sum.Write(b[:n])
	r.read += int64(n)
	if r.report != nil {
		r.report(r.read)
	}
	return n, err
}

// A dumpReader reads what the dump holds, unpacked.
type dumpReader struct {
	io.Reader
	packed *packedReader
}

// checksum is that of the file, if it was read to its end.
func (r *dumpReader) checksum() (string, error) {
	if _, err := io.Copy(io.Discard, r.packed); err != nil {
		return "", err
	}
	return hex.EncodeToString(r.packed.sum.Sum(nil)), nil
}

// open begins to read from the start.
func (d *dumpFile) open(ctx context.Context, report func(int64)) (*dumpReader, error) {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	packed := &packedReader{ctx: ctx, file: d.file, sum: sha256.New(), report: report}
	r := &dumpReader{Reader: packed, packed: packed}
	if !d.gzip {
		return r, nil
	}
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		unpacked = nil
		r.Reader = brokenReader{err}
		return r, nil // what reads it will say so
	}
	r.Reader = unpacked
	return r, nil
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// identity names the dump so that it is known again.
func (d *dumpFile) identity() string {
	id := fmt.Sprintf("%s %d %s", d.path, d.size, d.info.ModTime().UTC().Format(time.RFC3339Nano))
	if stat, ok := d.info.Sys().(*syscall.Stat_t); ok {
		id += fmt.Sprintf(" %d:%d", stat.Dev, stat.Ino)
	}
	return id
}

func (d *dumpFile) describe() string {
	text := string(d.format) + ", " + fact.FormatBytes(float64(d.size))
	if d.gzip {
		text = "gzip of " + text
	}
	return text
}

func (d *dumpFile) facts(env checks.Env) []fact.Fact {
	facts := []fact.Fact{fact.Word("path", d.path), fact.Dur("dump_age", max(0, clock(env).Sub(d.info.ModTime())))}
	if d.format != directoryDump {
		facts = append(facts, fact.Size("dump_size", d.size))
	}
	if d.sum != "" {
		facts = append(facts, fact.Word("sha256", d.sum))
	}
	return facts
}
