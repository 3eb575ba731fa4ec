package cli

import (
	"io"
	"log/slog"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// logTo is the program's own log, without the secrets of the site files that
// this process has read: an error may quote what a server was asked with.
func (p *program) logTo(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(redacted{out, &p.redact}, nil))
}

// redacted removes secrets from records that are written whole.
type redacted struct {
	to     io.Writer
	redact *clean.Redactor
}

// Write takes one record.
func (r redacted) Write(record []byte) (int, error) {
	if _, err := io.WriteString(r.to, r.redact.Redact(string(record))); err != nil {
		return 0, err
	}
	return len(record), nil
}
