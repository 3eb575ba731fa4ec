package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
			err = e.readBody(raw[key])
		case "json":
			if e.json, err = texts(raw[key], "json"); err == nil {
				err = checkPaths(e.json)
			}
		case "header":
			if e.header, err = texts(raw[key], "header"); err == nil {
				err = checkHeaders(e.header)
			}
		default:
			err = fmt.Errorf("expect has no key %q, expected status, body, json or header", key)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// statuses reads one status or several: a list, or "200,204" as it comes from a
// command line.
func statuses(raw any) ([]int, error) {
	var list []string
	switch raw := raw.(type) {
	case nil:
	case []any:
		for _, one := range raw {
			list = append(list, fmt.Sprint(one))
		}
	case []string:
		list = raw
	case string:
		list = strings.Split(raw, ",")
	default:
		list = []string{fmt.Sprint(raw)}
	}
	if len(list) == 0 {
		return nil, errors.New("status names none, expected 200 or [200, 204]")
	}
	var all []int
	for _, one := range list {
		n, err := strconv.Atoi(strings.TrimSpace(one))
		if err != nil || n < 100 || n > 599 {
			return nil, fmt.Errorf("status %.80q is not one of 100 to 599", one)
		}
		all = append(all, n)
	}
	return all, nil
}

func (e *expectation) readBody(raw any) error {
	text := fmt.Sprint(raw)
	if raw == nil || text == "" {
		return errors.New("body is empty, which every answer has; expected a part of it or /regexp/")
	}
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

// texts reads a map of expectations. An empty one would be met by anything.
func texts(raw any, what string) (map[string]string, error) {
	m, ok := raw.(map[string]any)
	if !ok || len(m) == 0 {
		return nil, fmt.Errorf("%s is %v, expected a map", what, raw)
	}
	out := map[string]string{}
	for key, value := range m {
		out[key] = plain(value)
	}
	return out, nil
}

// plain is a value as JSON has it, a text without its quotes.
func plain(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return value
	case map[string]any, []any:
		if text, err := json.Marshal(value); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(value)
}

func checkPaths(paths map[string]string) error {
	for p := range paths {
		if _, err := parsePath(p); err != nil {
			return err
		}
	}
	return nil
}

func checkHeaders(headers map[string]string) error {
	for name, part := range headers {
		if part == "" || part == "null" {
			return fmt.Errorf("header %s has no value, expected a part of it", name)
		}
	}
	return nil
}

// finding is what the body said at a JSON path.
type finding struct {
	path, want, got string
	ok              bool
}

// judge compares an answer. The first thing wrong is the reason; every JSON
// path is looked at, so that each part of the service is a fact. Of no answer,
// or half of one, there is nothing at any path.
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
	if missing := e.bodyProblem(r); missing != "" {
		bodyOK, wrong = false, append(wrong, missing)
	}
	findings, problem := e.look(r)
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

func (e expectation) bodyProblem(r reply) string {
	where := "the body"
	if r.truncated {
		where = "the body, cut off at 1 MiB,"
	}
	switch {
	case e.pattern != nil && !e.pattern.Match(r.body):
		return fmt.Sprintf("%s does not match /%s/", where, e.pattern)
	case e.body != "" && !bytes.Contains(r.body, []byte(e.body)):
		return fmt.Sprintf("%s has no %q", where, e.body)
	}
	return ""
}

// look reads every path of a JSON body. A body that is not one whole document
// says nothing at any path.
func (e expectation) look(r reply) (all []finding, problem string) {
	if len(e.json) == 0 {
		return nil, ""
	}
	document, broken := decode(r)
	for _, p := range slices.Sorted(maps.Keys(e.json)) {
		f := finding{path: p, want: e.json[p], got: "nothing"}
		path, err := parsePath(p) // checked when it was bound
		if value, found := path.in(document); err == nil && broken == "" && found {
			f.got = plain(value)
			f.ok = f.got == f.want
		}
		if !f.ok && problem == "" {
			problem = fmt.Sprintf("%s is %.80s, expected %s", p, f.got, f.want)
		}
		all = append(all, f)
	}
	if broken != "" {
		problem = broken
	}
	return all, problem
}

// decode reads one JSON document and nothing behind it.
func decode(r reply) (document any, problem string) {
	if r.err != nil {
		return nil, "there is no whole body"
	}
	if r.truncated {
		return nil, "the body is larger than 1 MiB and was cut off: it cannot be read as JSON"
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber()
	if decoder.Decode(&document) != nil {
		return nil, "the body is not JSON"
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, "the body has more behind its JSON"
	}
	return document, ""
}
