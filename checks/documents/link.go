package documents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// nameParam names a document of the site file.
func nameParam() checks.Param {
	return checks.Param{Name: "document", Type: checks.TextParam, Required: true, Names: "documents", Doc: "document of the site file", Example: "deployment"}
}

// Link looks whether a document is where the site file says.
var Link = module(checks.Module{
	Name:   "doc.link",
	Doc:    "Looks whether a document of the site file is there: a file within its folder, or an address that answers",
	Params: []checks.Param{nameParam()},
	Facts: []fact.Spec{
		{Name: "present", Type: fact.Bool, Worse: fact.Lower, Doc: "the file is there, or the address answers with 2xx or 3xx"},
		{Name: "empty", Type: fact.Bool, Optional: true, Worse: fact.Higher, Doc: "the file holds nothing"},
		{Name: "status", Type: fact.Count, Optional: true, Doc: "what the address answers with"},
	},
	Warn: "present == false or empty == true", Source: "guide", Every: time.Hour,
	Example: "use: doc.link\nwith: {document: deployment}",
	Run:     link,
})

func link(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	d, err := named(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if d.URL != "" {
		return ask(ctx, env, d)
	}
	info, err := stat(env, d)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checks.Findings{Target: d.Path, Note: "there is no " + d.Path, Facts: []fact.Fact{fact.Flag("present", false)}}, nil
	case err != nil:
		return checks.Findings{Target: d.Path}, err
	}
	return checks.Findings{
		Target: d.Path, Note: fmt.Sprintf("%s, %s", d.Path, fact.FormatBytes(float64(info.Size()))),
		Facts: []fact.Fact{fact.Flag("present", true), fact.Flag("empty", info.Size() == 0)},
	}, nil
}

func named(env checks.Env, args checks.Args) (checks.Document, error) {
	name := args.Text("document")
	d, ok := env.Site.Documents[name]
	if !ok {
		return d, checks.NotHere{What: fmt.Sprintf("%q under documents", name)}
	}
	return d, nil
}

// stat looks at a document's file. It must lie in its root, links followed: a
// link that leaves it is refused, whoever made it.
func stat(env checks.Env, d checks.Document) (fs.FileInfo, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(env.Root, d.Path))
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", d.Path, err)
	}
	root, err := filepath.EvalSymlinks(filepath.Join(env.Root, d.Root))
	if err != nil {
		return nil, fmt.Errorf("looking at the folder of %s: %w", d.Name, err)
	}
	if !strings.HasPrefix(path, strings.TrimRight(root, "/")+"/") {
		return nil, checks.Failed(checks.Denied, "%s leads out of %s", d.Path, d.Root)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", d.Path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, checks.Failed(checks.Other, "%s is not a file", d.Path)
	}
	return info, nil
}

// ask sends one HEAD; a server that does not take it is asked by GET and left.
func ask(ctx context.Context, env checks.Env, d checks.Document) (checks.Findings, error) {
	f := checks.Findings{Target: d.URL}
	if env.HTTP == nil {
		return f, checks.Failed(checks.Unconfigured, "no HTTP client")
	}
	status := 0
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		req, err := http.NewRequestWithContext(ctx, method, d.URL, nil)
		if err != nil {
			return f, fmt.Errorf("asking for %s: %w", d.Name, err)
		}
		res, err := env.HTTP.Do(req)
		if err != nil {
			f.Note = "no answer: " + err.Error()
			f.Facts = []fact.Fact{fact.Flag("present", false)}
			return f, nil
		}
		res.Body.Close() //nolint:errcheck // nothing of it is read
		if status = res.StatusCode; status != http.StatusMethodNotAllowed && status != http.StatusNotImplemented {
			break
		}
	}
	f.Note = fmt.Sprintf("%s answers %d", d.URL, status)
	f.Facts = []fact.Fact{fact.Flag("present", status >= 200 && status < 400), fact.Number("status", status)}
	return f, nil
}
