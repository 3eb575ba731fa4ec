package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// program is a file that may be started.
type program struct {
	Path string // absolute, as it is started: a link keeps its name, which some programs go by
	File string // the regular file behind it
	Info fs.FileInfo
}

// String is the path.
func (p program) String() string { return p.Path }

// find resolves a program that may steer us. One that is named by its path is
// held to the rule of ownership; a bare name is a program of the system, in
// folders of root.
func find(name string) (program, error) {
	path, err := lookup(name)
	if err != nil {
		return program{}, err
	}
	rule := owner.Rule{}
	if filepath.IsAbs(name) {
		if rule, err = owner.Current(); err != nil {
			return program{}, err
		}
	}
	p := program{Path: path, File: path}
	// In a sticky folder, too, others can put files beside the program that it loads.
	if err := rule.Check(filepath.Dir(path)); err != nil {
		return p, distrusted(path, "its folder: ", err)
	}
	if p.File, err = rule.Real(path); err != nil {
		return p, distrusted(path, "", err)
	}
	if err := rule.Check(filepath.Dir(p.File)); err != nil {
		return p, distrusted(path, "its folder: ", err)
	}
	if p.Info, err = os.Lstat(p.File); err != nil {
		return p, fmt.Errorf("looking at the program: %w", err)
	}
	return p, startable(p)
}

// steered refuses a command that files of somebody else would decide on: the
// script of an interpreter, the folder it starts in, what it reads beside its
// arguments.
func steered(p program, call checks.Call) error {
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	for _, script := range pinned(p, call.Argv[1:])[1:] {
		if err := rule.Check(script); err != nil {
			return distrusted(p.Path, "its script: ", err)
		}
	}
	if call.Dir != "" {
		if err := rule.Check(call.Dir); err != nil {
			return distrusted(p.Path, "the folder it starts in: ", err)
		}
	}
	for _, path := range call.Config {
		if err := rule.CheckTree(path); err != nil {
			return distrusted(p.Path, "its configuration: ", err)
		}
	}
	return nil
}

// distrusted says which program is not run because of whose files.
func distrusted(path, what string, err error) error {
	var refused *owner.Refusal
	if !errors.As(err, &refused) {
		return fmt.Errorf("looking at the program: %w", err)
	}
	return checks.Failed(checks.Denied, "refusing to run %s: %s%w", path, what, err)
}

func startable(p program) error {
	switch {
	case !p.Info.Mode().IsRegular():
		return checks.Failed(checks.Denied, "refusing to run %s: it is not a regular file", p)
	case p.Info.Mode()&0o111 == 0:
		return checks.Failed(checks.Denied, "%s is not executable (chmod +x %s)", p, p.File)
	}
	return nil
}

// startError gives the error of a start its class and says what a missing file
// means when the program itself was just seen.
func startError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return checks.Failed(checks.Missing, "starting %s: its interpreter, its loader or the working folder is not there: %w", path, err)
	}
	return fmt.Errorf("starting %s: %w", path, err)
}
