package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// nightlyBackups puts real dumps of the sandbox's database in place of the
// invented ones of the set "db", so that a restore test has something to
// restore. Where the server came without pg_dump the invented ones stay.
func nightlyBackups(ctx context.Context, bin string, server *pgserver.Server, dir string) error {
	program := filepath.Join(bin, "pg_dump")
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "--no-owner", "--no-privileges", "--dbname="+server.DSN(database))
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("dumping the sandbox's database: %w: %s", err, complaints.String())
	}
	names, err := filepath.Glob(filepath.Join(dir, "db_backup_*"))
	if err != nil {
		return fmt.Errorf("listing the sandbox's backups: %w", err)
	}
	zipped, err := zip(out.Bytes())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := replace(name, zipped); err != nil {
			return fmt.Errorf("writing a dump: %w", err)
		}
	}
	return nil
}

// replace gives a file other bytes and leaves it its date.
func replace(path string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, info.ModTime())
}
