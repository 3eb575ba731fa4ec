package site

import (
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// documents reads what is written about the site, and where. A relative path
// begins at the site file's folder and must not leave it.
func (p *builder) documents(n ast.Node) {
	base := "/"
	if abs, err := filepath.Abs(p.file); err == nil {
		base = filepath.Dir(abs)
	}
	for _, f := range p.fields(n, "documents") {
		d := checks.Document{Name: f.key, Origin: p.place(f.at)}
		what := "document " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"path": p.into(&d.Path, what+".path"), "url": p.address(&d.URL, what+".url"), "review": p.duration(&d.Review, what+".review"),
		})
		switch {
		case (d.Path == "") == (d.URL == ""):
			p.at(f.at, Error, codeMissing, what+` needs "path" or "url"`, "one of them")
		case d.Path != "" && filepath.IsAbs(d.Path):
			d.Path, d.Root = filepath.Clean(d.Path), filepath.Dir(filepath.Clean(d.Path))
		case d.Path != "":
			d.Root, d.Path = base, filepath.Join(base, d.Path)
			if !strings.HasPrefix(d.Path, strings.TrimRight(base, "/")+"/") {
				p.at(f.at, Error, codeWrongType, what+" leaves the site file's folder", "write the absolute path")
			}
		}
		p.site.Documents[f.key] = d
	}
}
