package postgres

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// damageOf says how a file is damaged; "" for any other error.
func damageOf(err error) string {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "gzip ends too early: the file was cut short"
	case errors.Is(err, gzip.ErrChecksum):
		return "gzip checksum is wrong"
	case errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return "gzip data are corrupt"
	}
	return ""
}

// scan reads the dump to its end; pg_restore turns the other formats into
// plain text for it, without connecting anywhere.
func (d *dumpFile) scan(ctx context.Context, env checks.Env, p Program) (dumpFindings, error) {
	if d.format == directoryDump {
		return d.scanArchive(ctx, env, p, nil)
	}
	content, err := d.open(ctx, nil)
	if err != nil {
		return dumpFindings{}, err
	}
	var found dumpFindings
	if d.format == plainDump {
		found, err = scanDump(content, nil, d.leaves)
	} else {
		found, err = d.scanArchive(ctx, env, p, content)
	}
	if damage := damageOf(err); damage != "" && ctx.Err() == nil {
		found.damage, err = damage, nil
	}
	if err != nil {
		return found, err
	}
	if d.sum, err = content.checksum(); err != nil {
		return found, err
	}
	recorded, err := d.recorded()
	if err != nil {
		return found, err
	}
	if recorded != "" && recorded != d.sum && found.damage == "" {
		found.damage = "its checksum is not the one that lies next to it"
	}
	return found, nil
}

func (d *dumpFile) scanArchive(ctx context.Context, env checks.Env, p Program, content *dumpReader) (dumpFindings, error) {
	call := checks.Call{Argv: append([]string{p.Path, "--file=-"}, restoreOptions...)}
	var source *watchedReader
	if content != nil {
		source = &watchedReader{src: content}
		call.Stdin = source
	} else {
		call.Argv = append(call.Argv, d.path)
	}
	text, into := io.Pipe()
	call.Stdout = into
	var out checks.Output
	var runErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer crash.Recover()
		out, runErr = env.Exec(ctx, call)
		into.Close() //nolint:errcheck // never fails
	}()
	found, err := scanDump(text, nil, d.leaves)
	text.Close() //nolint:errcheck // never fails
	<-ended
	switch {
	case err != nil:
		return found, err
	case source != nil && source.err != nil:
		return found, source.err
	case len(found.hits) > 0:
		return found, nil
	case runErr != nil:
		return found, runErr
	case out.Code != 0:
		found.damage = oneLine(string(out.Stderr))
	}
	return found, nil
}

// A watchedReader remembers the error that ended it: a program that is fed by
// it sees only an end.
type watchedReader struct {
	src io.Reader
	err error
}

func (r *watchedReader) Read(b []byte) (int, error) {
	n, err := r.src.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// maxChecksums bounds the file of checksums next to a dump, in bytes.
const maxChecksums = 1 << 20

// recorded is the checksum that lies next to the dump, if there is one.
func (d *dumpFile) recorded() (string, error) {
	text, err := hostfs.ReadNoFollow(d.path+".sha256", maxChecksums)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the checksum next to the dump: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		sum, _, _ := strings.Cut(line, " ")
		if raw, err := hex.DecodeString(strings.TrimSpace(sum)); err == nil && len(raw) == sha256.Size {
			return strings.TrimSpace(sum), nil
		}
	}
	return "", nil
}
