// Package maintenance closes a site to its users and opens it again, by a flag
// file that the web server looks for or by a snippet that it includes, and
// believes only what it then sees from outside over HTTP.
//
// A page that does not change is a fact, not an error. A file is never written
// through a link, and opening removes whatever closes the site, whoever put it
// there: a site must not stay closed because opsdeck did not close it. Read
// page.go for what a page is, file.go for what closes it, outside.go for how
// that is seen. The package must not know runs, windows or rules.
package maintenance

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the actions that close and open a site; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "maintenance", Doc: "the maintenance page: closing a site and opening it again", Modules: modules}
}

var pageParam = checks.Param{Name: "page", Type: checks.TextParam, Names: "maintenance", Doc: "maintenance page of the site file; without it the only one there is", Example: "web"}

// facts are those of both modules: the same site, seen before and after.
var facts = []fact.Spec{
	{Name: "answered", Type: fact.Bool, Doc: "the page's URL gave an answer"},
	{Name: "status", Type: fact.Count, Optional: true, Doc: "status code of the page's URL; absent if it did not answer"},
	{Name: "retry_hint", Type: fact.Bool, Doc: "the answer tells clients when to come back, by Retry-After"},
	{Name: "retry_after", Type: fact.Duration, Optional: true, Doc: "after what time clients are told to come back"},
	{Name: "exempt_ok", Type: fact.Bool, Doc: "the exempt URL answers 200"},
	{Name: "reason", Type: fact.Text, Doc: "what is wrong with either answer; empty if nothing"},
	{Name: "closed", Type: fact.Bool, Doc: "the flag or the snippet that closes the site is there"},
	{Name: "was_closed", Type: fact.Bool, Optional: true, Doc: "it was there before"},
	{Name: "since", Type: fact.Time, Optional: true, Doc: "when what closes the site was put there; of what closed it, once it is open"},
	{Name: "closed_by", Type: fact.Text, Optional: true, Doc: "who put it there: the mark of an action of opsdeck, or the file's owner"},
	folderSpec,
	{Name: "took", Type: fact.Duration, Optional: true, Worse: fact.Higher, Doc: "until the page was seen as it should be, or was given up"},
	checks.DoneFact,
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
