package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// inspectOptions say what a file is expected to be.
type inspectOptions struct {
	content  string // auto, sql, custom, any
	trailer  string // last line of a plain dump; "" for PostgreSQL's
	maxRatio float64
	name     string
}

// An inspection is what reading a file to its end has shown.
type inspection struct {
	format   string
	gzip     *bool // nil: not gzipped
	trailer  *bool // nil: no dump
	plain    bool  // a plain dump
	tables   int64
	unpacked int64
	problem  string // "" when whole
}

func (i *inspection) wrong(problem string) {
	if i.problem == "" {
		i.problem = problem
	}
}

// readerWithContext ends a long read with its context.
type readerWithContext struct {
	ctx context.Context
	src io.Reader
}

func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.src.Read(p)
}

// unsupported are compressions that are recognised and not understood here:
// what cannot be unpacked cannot be called whole.
var unsupported = []struct{ magic, name string }{
	{"\x28\xb5\x2f\xfd", "zstd"}, {"\xfd7zXZ\x00", "xz"}, {"BZh", "bzip2"}, {"\x04\x22\x4d\x18", "lz4"}, {"PK\x03\x04", "zip"},
	{"Salted__", "OpenSSL encryption"}, {"age-encryption.org/", "age encryption"},
}

// inspect reads a backup to its end. What is wrong with the file is in the
// inspection; an error means that it could not be told.
func inspect(ctx context.Context, src io.Reader, size int64, options inspectOptions) (inspection, error) {
	if size == 0 {
		return inspection{format: "empty", problem: "0 bytes"}, nil
	}
	packed := bufio.NewReaderSize(readerWithContext{ctx, src}, 256<<10)
	begin, err := packed.Peek(32)
	if err != nil && err != io.EOF {
		return inspection{}, err
	}
	for _, u := range unsupported {
		if bytes.HasPrefix(begin, []byte(u.magic)) {
			return inspection{}, checks.Failed(checks.Missing, "%s is not supported: what cannot be unpacked here cannot be verified", u.name)
		}
	}
	var found inspection
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		err = found.readGzip(packed, size, options)
	case strings.HasSuffix(options.name, ".gz") || strings.HasSuffix(options.name, ".tgz"):
		no := false
		found = inspection{format: "not gzip", gzip: &no, problem: "named .gz and not gzipped"}
	default:
		err = found.readContent(packed, "", options)
	}
	return found, err
}

// readGzip unpacks every member, holds each to its checksum, and looks at what
// is behind the last.
func (i *inspection) readGzip(packed *bufio.Reader, size int64, options inspectOptions) error {
	good := true
	i.gzip = &good
	members := &gzipMembers{packed: packed, limit: int64(float64(size)*options.maxRatio) + 1<<30}
	err := i.readContent(bufio.NewReaderSize(members, 256<<10), "gzip of ", options)
	i.unpacked = members.unpacked
	if errors.Is(err, errDamaged) {
		good = false
		if i.format == "" {
			i.format = "damaged gzip"
		}
		i.problem = members.problem // it explains a missing trailer
		return nil
	}
	return err
}

// errDamaged ends the reading of a file that is damaged, a finding.
var errDamaged = errors.New("damaged")

// gzipMembers reads the members of a gzip file end to end.
type gzipMembers struct {
	packed   *bufio.Reader
	member   *gzip.Reader
	limit    int64
	unpacked int64
	problem  string
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for {
		if g.member == nil {
			if err := g.nextMember(); err != nil {
				return 0, err
			}
		}
		n, err := g.member.Read(p)
		g.unpacked += int64(n)
		if g.unpacked > g.limit {
			return 0, checks.Failed(checks.Limit, "more than %d bytes unpacked: a bomb, or raise max_ratio", g.limit)
		}
		switch {
		case err == io.EOF:
			g.member = nil
		case err != nil:
			return n, g.damage(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// nextMember begins the next member; the end of the file, or zeros up to it
// as tapes leave them, is the end.
func (g *gzipMembers) nextMember() error {
	begin, err := g.packed.Peek(2)
	switch {
	case len(begin) == 0 && err == io.EOF:
		return io.EOF
	case err != nil && err != io.EOF:
		return err
	case !bytes.Equal(begin, []byte{0x1f, 0x8b}):
		return g.garbage()
	}
	member, err := gzip.NewReader(g.packed)
	if err != nil {
		return g.damage(err)
	}
	member.Multistream(false)
	g.member = member
	return nil
}

func (g *gzipMembers) garbage() error {
	for {
		b, err := g.packed.ReadByte()
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return err
		}
		if b != 0 {
			g.problem = "bytes behind the gzip data that are no gzip"
			return errDamaged
		}
	}
}

// damage tells a damaged file from a read that failed.
func (g *gzipMembers) damage(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		g.problem = "gzip ends too early: the file was cut short"
	case errors.Is(err, gzip.ErrChecksum):
		g.problem = "gzip checksum is wrong"
	case errors.Is(err, gzip.ErrHeader):
		g.problem = "gzip header is damaged"
	default:
		var corrupt interface{ Error() string }
		if !errors.As(err, &corrupt) || !strings.HasPrefix(err.Error(), "flate:") {
			return err
		}
		g.problem = "gzip data are corrupt"
	}
	return errDamaged
}

// readContent reads what the backup holds, unpacked.
func (i *inspection) readContent(src *bufio.Reader, prefix string, options inspectOptions) error {
	begin, err := src.Peek(512)
	if err != nil && err != io.EOF && !errors.Is(err, errDamaged) {
		return err
	}
	kind := options.content
	if kind == "auto" {
		kind = contentOf(begin, options.name)
	}
	i.format = prefix + map[string]string{"sql": "plain dump", "custom": "custom-format dump", "any": "data"}[kind]
	switch kind {
	case "custom":
		return i.readCustom(src)
	case "sql":
		return i.readPlain(src, options.trailer)
	}
	_, err = io.Copy(io.Discard, src)
	return err
}

// contentOf goes by the first bytes and by the name.
func contentOf(begin []byte, name string) string {
	switch {
	case bytes.HasPrefix(begin, []byte("PGDMP")):
		return "custom"
	case len(begin) > 262 && string(begin[257:262]) == "ustar":
		return "any"
	case strings.Contains(name, ".sql") || bytes.HasPrefix(begin, []byte("--")):
		return "sql"
	case strings.HasSuffix(name, ".dump") || strings.HasSuffix(name, ".pgdump"):
		return "custom"
	}
	return "any"
}

// readCustom walks a custom-format dump.
func (i *inspection) readCustom(src *bufio.Reader) error {
	whole := true
	i.trailer = &whole
	problem, err := walkCustom(src)
	if errors.Is(err, errDamaged) {
		whole = false
	}
	if err != nil {
		return err
	}
	if problem != "" {
		whole = false
		i.wrong(problem)
		_, err = io.Copy(io.Discard, src) // the rest of the gzip data
	}
	return err
}
