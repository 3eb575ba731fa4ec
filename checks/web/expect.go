package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An expectation is what an answer must be.
type expectation struct {
	statuses []int
	body     string         // a part of it
	pattern  *regexp.Regexp // or a pattern
	json     map[string]string
	header   map[string]string
}

// checkExpect validates the parameter when it is bound.
func checkExpect(value any) error {
	_, err := parseExpect(value.(map[string]any))
	return err
}

// parseExpect reads {status: 200 or [200, 204], body: text or /regexp/,
// json: {$.path: value}, header: {Name: value}}. Without a status, 200 is meant.
func parseExpect(raw map[string]any) (expectation, error) {
	e := expectation{statuses: []int{200}}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		var err error
		switch key {
		case "status":
			e.statuses, err = statuses(raw[key])
		case "body":
			err = e.readBody(fmt.Sprint(raw[key]))
		case "json":
			if e.json, err = texts(raw[key], "json"); err == nil {
				err = checkPaths(e.json)
			}
		case "header":
			e.header, err = texts(raw[key], "header")
		default:
			err = fmt.Errorf("expect has no key %q, expected status, body, json or header", key)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

func statuses(raw any) ([]int, error) {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	var all []int
	for _, one := range list {
		n, err := strconv.Atoi(fmt.Sprint(one))
		if err != nil || n < 100 || n > 599 {
			return nil, fmt.Errorf("status %v is not one of 100 to 599", one)
		}
		all = append(all, n)
	}
	return all, nil
}

func (e *expectation) readBody(text string) error {
	if len(text) > 2 && strings.HasPrefix(text, "/") && strings.HasSuffix(text, "/") {
		pattern, err := regexp.Compile(text[1 : len(text)-1])
		if err != nil {
			return fmt.Errorf("body %s is not a regular expression: %w", text, err)
		}
		e.pattern = pattern
		return nil
	}
	e.body = text
	return nil
}

func texts(raw any, what string) (map[string]string, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is %v, expected a map", what, raw)
	}
	out := map[string]string{}
	for key, value := range m {
		out[key] = fmt.Sprint(value)
	}
	return out, nil
}

func checkPaths(paths map[string]string) error {
	for p := range paths {
		if _, err := parsePath(p); err != nil {
			return err
		}
	}
	return nil
}

// finding is what the body said at a JSON path.
type finding struct {
	path, want, got string
	ok              bool
}

// judge compares a whole answer. The first thing wrong is the reason; every
// JSON path is looked at, so that each part of the service is a fact.
func (e expectation) judge(r reply) (findings []finding, bodyOK bool, reason string) {
	var wrong []string
	if !slices.Contains(e.statuses, r.status) {
		wrong = append(wrong, fmt.Sprintf("status %d, expected %s", r.status, listed(e.statuses)))
	}
	for _, name := range slices.Sorted(maps.Keys(e.header)) {
		if got := r.header.Get(name); !strings.Contains(got, e.header[name]) {
			wrong = append(wrong, fmt.Sprintf("header %s is %.80q, expected %q", name, got, e.header[name]))
		}
	}
	bodyOK = true
	if missing := e.bodyProblem(r.body); missing != "" {
		bodyOK, wrong = false, append(wrong, missing)
	}
	findings, problem := e.look(r.body)
	if problem != "" {
		bodyOK, wrong = false, append(wrong, problem)
	}
	if len(wrong) > 0 {
		reason = wrong[0]
	}
	return findings, bodyOK, reason
}

func listed(statuses []int) string {
	texts := make([]string, len(statuses))
	for i, s := range statuses {
		texts[i] = strconv.Itoa(s)
	}
	return strings.Join(texts, " or ")
}

func (e expectation) bodyProblem(body []byte) string {
	switch {
	case e.pattern != nil && !e.pattern.Match(body):
		return fmt.Sprintf("the body does not match /%s/", e.pattern)
	case e.body != "" && !bytes.Contains(body, []byte(e.body)):
		return fmt.Sprintf("the body has no %q", e.body)
	}
	return ""
}

// look reads every path of a JSON body.
func (e expectation) look(body []byte) (all []finding, problem string) {
	if len(e.json) == 0 {
		return nil, ""
	}
	var document any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	broken := decoder.Decode(&document) != nil
	for _, p := range slices.Sorted(maps.Keys(e.json)) {
		f := finding{path: p, want: e.json[p], got: "nothing"}
		path, err := parsePath(p) // checked when it was bound
		if value, found := path.in(document); err == nil && !broken && found {
			f.got = fmt.Sprint(value)
			f.ok = f.got == f.want
		}
		if !f.ok && problem == "" {
			problem = fmt.Sprintf("%s is %.80s, expected %s", p, f.got, f.want)
		}
		all = append(all, f)
	}
	if broken {
		problem = "the body is not JSON"
	}
	return all, problem
}
