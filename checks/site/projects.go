package site

import (
	"cmp"
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// projects reads the source trees whose dependencies are looked after.
func (p *builder) projects(n ast.Node) {
	for _, f := range p.fields(n, "projects") {
		pr := checks.Project{Name: f.key, Origin: p.place(f.at)}
		what := "project " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"dir": p.path(&pr.Dir, what+".dir"), "remote": p.into(&pr.Remote, what+".remote"), "main": p.into(&pr.Main, what+".main"),
			"production": p.flag(&pr.Production, what+".production"),
			"merge": func(n ast.Node) {
				switch text := p.text(n, what+".merge"); text {
				case "local":
					pr.MergeHere = true
				case "reviewed":
				default:
					p.at(n, Error, codeWrongType, fmt.Sprintf("%s.merge is %q", what, text), "write reviewed, which is the default, or local")
				}
			},
			"upgrade": func(n ast.Node) {
				pr.Upgrade = map[string]string{}
				for _, f := range p.fields(n, what+".upgrade") {
					version := p.text(f.value, what+".upgrade."+f.key)
					if !checks.ExactVersion.MatchString(version) {
						p.at(f.value, Error, codeWrongType, fmt.Sprintf("%s.upgrade.%s is %q, expected an exact version", what, f.key, version), "write 4.17.21; a word like latest may be a major release tomorrow")
					}
					pr.Upgrade[f.key] = version
				}
			},
			"waive": func(n ast.Node) {
				for _, item := range p.items(n, what+".waive") {
					pr.Waive = append(pr.Waive, p.waiver(item, what+".waive"))
				}
			},
		}, "dir")
		pr.Remote, pr.Main = cmp.Or(pr.Remote, "origin"), cmp.Or(pr.Main, "main")
		p.site.Projects[f.key] = pr
	}
}

// waiver needs a reason and an end: one without is forgotten.
func (p *builder) waiver(n ast.Node, what string) checks.Waiver {
	var w checks.Waiver
	p.dispatch(n, what, map[string]func(ast.Node){
		"id": p.into(&w.ID, what+".id"), "reason": p.into(&w.Reason, what+".reason"),
		"until": func(n ast.Node) {
			text := p.text(n, what+".until")
			day, err := time.ParseInLocation(time.DateOnly, text, p.site.Zone)
			if err != nil {
				p.at(n, Error, codeWrongType, fmt.Sprintf("%s.until is %q, expected a day", what, text), "write 2027-03-01")
			}
			w.Until = day
		},
	}, "id", "until", "reason")
	return w
}
