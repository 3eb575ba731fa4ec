package site

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar"
)

// cron reads which jobs cron has to run, and what proves that it did.
func (p *builder) cron(n ast.Node) {
	for _, f := range p.fields(n, "cron") {
		j := checks.CronJob{Name: f.key, Origin: p.place(f.at)}
		what := "cron " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"command": p.into(&j.Command, what+".command"), "user": p.into(&j.User, what+".user"),
			"log": p.path(&j.Log, what+".log"), "success": p.into(&j.Success, what+".success"),
			"schedule": func(n ast.Node) {
				j.Schedule = p.text(n, what+".schedule")
				if err := calendar.CheckSchedule(j.Schedule); err != nil {
					p.at(n, Error, codeWrongType, fmt.Sprintf("%s.schedule: %v", what, err), `write "0 3 * * *" or @daily`)
				}
			},
		}, "command")
		if strings.ContainsAny(j.Command, "<>") {
			p.at(f.at, Error, codeWrongType, what+".command has a redirection", "write the command alone")
		}
		if j.Success != "" && j.Log == "" {
			p.at(f.at, Error, codeMissing, what+` has "success" and no "log"`, "the file in whose last line it stands")
		}
		p.site.Cron[f.key] = j
	}
}

// logrotate reads where the host's rotation of logs is configured.
func (p *builder) logrotate(n ast.Node) {
	l := checks.Logrotate{Origin: p.place(n)}
	p.dispatch(n, "logrotate", map[string]func(ast.Node){
		"main": p.path(&l.Main, "logrotate.main"), "state": p.path(&l.State, "logrotate.state"),
		"config": p.path(&l.Config, "logrotate.config"), "expect": p.texts(&l.Expect, "logrotate.expect"),
	})
	if len(l.Expect) > 0 && l.Config == "" {
		p.at(n, Error, codeMissing, `logrotate has "expect" and no "config"`, "the file whose blocks have these directives")
	}
	p.site.Logrotate = l
}
