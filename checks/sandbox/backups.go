package sandbox

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeBackups makes two sets: "db", nightly, fresh and whole, and "media",
// whose newest archive is a whole gzip of half a dump, which every look at
// sizes, dates and gzip itself takes for good.
func writeBackups(dir string, now time.Time) error {
	db, media := filepath.Join(dir, "db"), filepath.Join(dir, "media")
	for _, d := range []string{db, media} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("making the sandbox's backup folders: %w", err)
		}
	}
	last := now.Add(-5 * time.Hour)
	for day := range 5 {
		at := last.AddDate(0, 0, -day)
		if err := writeDump(db, "db_backup_", at, 4000-20*day, true); err != nil {
			return err
		}
		if err := writeDump(media, "media_backup_", at, 1500, day > 0); err != nil {
			return err
		}
	}
	return nil
}

func writeDump(dir, prefix string, at time.Time, rows int, whole bool) error {
	zipped, err := zip([]byte(dump(rows, whole)))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, prefix+at.Format("20060102_150405")+".sql.gz")
	if err := os.WriteFile(path, zipped, 0o600); err != nil {
		return fmt.Errorf("writing a dump: %w", err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		return fmt.Errorf("dating a dump: %w", err)
	}
	return nil
}

func zip(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compressing a dump: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("compressing a dump: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing a dump: %w", err)
	}
	return out.Bytes(), nil
}

// dump is the text of a plain pg_dump; one that is not whole stops in its rows.
func dump(rows int, whole bool) string {
	var b strings.Builder
	b.WriteString("--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\nCOPY public.users (id, email) FROM stdin;\n")
	seeded := rand.New(rand.NewPCG(1, 2))
	for i := range rows {
		fmt.Fprintf(&b, "%d\tuser%x@lms.example.com\n", i, seeded.Uint64())
	}
	if whole {
		b.WriteString("\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n")
	}
	return b.String()
}
