package site

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// files reads what files of the host have to be like. The entries take the
// parameters of file.content and are held to them here, so that a wrong hash is
// an error of the site file and not of an item at night.
func (p *builder) files(n ast.Node) {
	m, ok := p.reg.Lookup("file.content")
	for _, f := range p.fields(n, "files") {
		what := "file " + f.key
		with, given := p.plain(f.value, what).(map[string]any)
		if !given {
			p.refuse(f.value, what, "a mapping with path")
			continue
		}
		if with["path"] == nil || with["file"] != nil {
			p.at(f.at, Error, codeMissing, fmt.Sprintf("%s needs %q", what, "path"), "absolute path of the file")
		}
		if ok {
			_, problems := checks.Bind(m, with)
			p.bindProblems(block{withAt: f.value, useAt: f.at}, errorsOf(problems))
		}
		p.site.Files[f.key] = checks.ExpectedFile{Name: f.key, With: with, Origin: p.place(f.at)}
	}
}

func errorsOf(problems []checks.ArgError) []error {
	list := make([]error, len(problems))
	for i, problem := range problems {
		list[i] = problem
	}
	return list
}
