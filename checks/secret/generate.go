package secret

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var sizeParams = []checks.Param{
	{Name: "bytes", Type: checks.NumberParam, Default: 64, Check: checkBytes, Doc: "random bytes of a new value (guide: 64)"},
	{Name: "encoding", Type: checks.TextParam, Default: "base64url", OneOf: []string{"base64url", "hex"}, Doc: "how they are written; neither needs quotes in an environment file"},
}

// Generate makes a secret and leaves it where the rotation finds it.
var Generate = module(checks.Module{
	Name:   "secret.generate",
	Doc:    "Makes a random secret inside this process and writes it to a file of its owner alone; nobody sees it",
	Effect: checks.Reversible, Danger: 1,
	Crash:  "the file is there whole, or half and named by the next preview as in the way; nothing uses it yet",
	Params: append([]checks.Param{secretParam}, sizeParams...),
	Facts: []fact.Spec{
		{Name: "length", Type: fact.Count, Unit: "characters", Optional: true, Doc: "length of the file's content"},
		{Name: "private", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "nobody but the owner can read it"},
		checks.DoneFact,
	},
	Fail: "done == false or private == false", Source: "guide (64 bytes); proposed",
	Verify:  "done == true and private == true",
	Example: "use: secret.generate\nwith:\n  name: jwt",
	Preview: previewGenerate, Run: generate,
	Probe: func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return generated(env, args)
	},
})

func checkBytes(value any) error {
	if n, ok := value.(float64); ok && (n < 32 || n > 1024 || n != float64(int(n))) {
		return fmt.Errorf("%v is not between 32 and 1024 bytes", n)
	}
	return nil
}

// random is a new value. crypto/rand never fails: it ends the program rather.
func random(args checks.Args) string {
	raw := make([]byte, args.Int("bytes"))
	rand.Read(raw) //nolint:errcheck // documented never to return an error
	if args.Text("encoding") == "hex" {
		return hex.EncodeToString(raw)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func encodedLength(args checks.Args) int {
	n := args.Int("bytes")
	if args.Text("encoding") == "hex" {
		return hex.EncodedLen(n)
	}
	return base64.RawURLEncoding.EncodedLen(n)
}

func previewGenerate(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: e.Name, Fingerprint: e.New, Locks: []string{"file:" + e.New}}
	if err := e.mayGenerate(); err != nil {
		return f, err
	}
	at, err := e.hold(e.New)
	if err != nil {
		return f, err
	}
	defer at.close()
	folder, err := at.folder()
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, folder)
	f.Note = fmt.Sprintf("%d random bytes into %s", args.Int("bytes"), e.New)
	f.Detail = []string{"the value is shown nowhere: it is written to " + e.New + ", mode 0600, and used by nothing until secret " + e.Name + " is rotated"}
	return f, nil
}

func (e entry) mayGenerate() error {
	if e.New == "" {
		return checks.Failed(checks.Unconfigured, "secret %s names no file for a new value (new:)", e.Name)
	}
	switch _, err := os.Lstat(e.at(e.New)); {
	case err == nil:
		return checks.Failed(checks.Other, "%s is there already: rotate secret %s with it, or remove it", e.New, e.Name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := filepath.Dir(e.New)
	info, err := os.Stat(e.at(dir))
	if err != nil {
		return fmt.Errorf("looking at where the secret goes: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return checks.Failed(checks.Denied, "%s can be changed by others (chmod go-w)", dir)
	}
	return nil
}

func generate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err == nil {
		err = e.mayGenerate()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return checks.Findings{}, err
	}
	if err := e.writeNew(env, random(args)); err != nil {
		return checks.Findings{}, fmt.Errorf("writing the new secret: %w", err)
	}
	env.Printf("wrote %s", e.New)
	return generated(env, args)
}

// writeNew writes a value into its own file, in the folder of the preview.
func (e entry) writeNew(env checks.Env, value string) error {
	at, err := e.hold(e.New)
	if err != nil {
		return err
	}
	defer at.close()
	if err := at.isPreviewed(env); err != nil {
		return err
	}
	return at.create([]byte(value+"\n"), os.Geteuid(), os.Getegid())
}

func generated(env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: e.Name}
	content, info, err := e.readAt(e.New)
	if errors.Is(err, fs.ErrNotExist) {
		f.Facts = []fact.Fact{fact.Flag("done", false), fact.Flag("private", false)}
		f.Note = e.New + " is not there"
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("looking at the new secret: %w", err)
	}
	length := max(0, len(content)-1)
	f.Note = fmt.Sprintf("%d characters in %s", length, e.New)
	f.Facts = []fact.Fact{
		fact.Number("length", length), fact.Flag("private", info.Mode.Perm()&0o077 == 0), fact.Flag("done", length == encodedLength(args)),
	}
	return f, nil
}
