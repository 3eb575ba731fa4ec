package site

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Bounds before the YAML parser sees a byte: it is quadratic on deep nesting
// and on very many keys.
const (
	maxFile  = 256 << 10
	maxLines = 5000
	maxLine  = 4096
	maxDepth = 40 // of brackets in flow style
)

// A reader walks a YAML file and collects problems.
type reader struct {
	file     string
	lines    []string
	problems Problems

	vars    map[string]string
	env     func(string) string
	secrets []string
	closed  []closed
}

// field is one key of a mapping with its value.
type field struct {
	key   string
	at    ast.Node // the key
	value ast.Node
}

func newReader(file string, src []byte, env func(string) string) *reader {
	return &reader{file: file, lines: strings.Split(string(src), "\n"), vars: map[string]string{}, env: env}
}

// parse returns the document's root, nil after a problem.
func (r *reader) parse(src []byte) ast.Node {
	if msg := tooMuch(src); msg != "" {
		r.add(Problem{Line: 1, Col: 1, Severity: Error, Code: codeSyntax, Msg: msg})
		return nil
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(file.Docs) > 1 {
		r.at(file.Docs[1].Body, Error, codeSyntax, "a site file is one YAML document", "remove the ---")
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		r.add(Problem{Line: 1, Col: 1, Severity: Error, Code: codeMissing, Msg: "the file is empty", Hint: "opsdeck init writes one from what this host has"})
		return nil
	}
	return file.Docs[0].Body
}

func tooMuch(src []byte) string {
	switch {
	case len(src) > maxFile:
		return fmt.Sprintf("the file is larger than %d KiB", maxFile>>10)
	case bytes.Count(src, []byte("\n")) > maxLines:
		return fmt.Sprintf("the file has more than %d lines", maxLines)
	case !utf8.Valid(src):
		return "the file is not UTF-8"
	case bytes.IndexByte(src, 0) >= 0:
		return "the file contains a NUL byte"
	}
	for i, line := range bytes.Split(src, []byte("\n")) {
		if len(line) > maxLine {
			return fmt.Sprintf("line %d is longer than %d bytes", i+1, maxLine)
		}
	}
	depth, indents := 0, 0
	for _, c := range src {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if indents = max(indents, depth); indents > maxDepth {
			return fmt.Sprintf("brackets are nested deeper than %d", maxDepth)
		}
	}
	return ""
}

func (r *reader) syntax(err error) {
	p := Problem{Line: 1, Col: 1, Severity: Error, Code: codeSyntax, Msg: strings.SplitN(err.Error(), "\n", 2)[0]}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		p.Line, p.Col = syntax.Token.Position.Line, syntax.Token.Position.Column
		p.Msg = syntax.Message
	}
	r.add(p)
}

func (r *reader) add(p Problem) {
	p.File = r.file
	p.Line = min(max(p.Line, 1), max(1, len(r.lines)))
	if p.Excerpt == "" && p.Line <= len(r.lines) {
		p.Excerpt = r.hide(printable(r.lines[p.Line-1]))
	}
	p.Col = min(max(p.Col, 1), len(p.Excerpt)+1)
	p.Msg, p.Hint = clean.Line(r.hide(p.Msg), 0), clean.Line(r.hide(p.Hint), 0)
	r.problems = append(r.problems, p)
}

// printable is a line of the file fit for a terminal, every character in its
// column so that the caret still points at the right one.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if one := string(c); clean.Line(one, 0) != one {
			return '?'
		}
		return c
	}, strings.TrimRight(line, "\r"))
}

// hide keeps what was resolved as a secret out of every message, however an
// error writes it: a URL that cannot be parsed is quoted, and escaped.
func (r *reader) hide(text string) string {
	for _, s := range r.secrets {
		if len(s) >= 3 { // shorter than what a Redactor takes: here the text is ours
			text = strings.ReplaceAll(text, s, clean.Redacted)
		}
	}
	return clean.NewRedactor(r.secrets...).Redact(text)
}

// at adds a problem at a node.
func (r *reader) at(n ast.Node, severity Severity, code, msg, hint string) {
	p := Problem{Severity: severity, Code: code, Msg: msg, Hint: hint}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Col = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	r.add(p)
}

// place is a node's "file:line:col".
func (r *reader) place(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return r.file
	}
	pos := n.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", r.file, pos.Line, pos.Column)
}

// fields are the entries of a mapping in their order. Anything else is a
// problem; null is an empty mapping.
func (r *reader) fields(n ast.Node, what string) []field {
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		r.refuse(n, what, "a map")
		return nil
	}
	var all []field
	seen := map[string]bool{}
	for _, e := range entries {
		key, ok := scalarText(e.Key)
		if !ok {
			r.at(e.Key, Error, codeSyntax, "a key must be a plain word", "")
			continue
		}
		if seen[key] {
			r.at(e.Key, Error, codeDuplicate, fmt.Sprintf("%q stands here twice", key), "remove one of them")
			continue
		}
		seen[key] = true
		all = append(all, field{key, e.Key, e.Value})
	}
	return all
}

// refuse says what a node is instead of what was expected.
func (r *reader) refuse(n ast.Node, what, want string) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		r.at(n, Error, codeSyntax, "anchors and aliases are not accepted", "write the value out")
	case *ast.TagNode:
		r.at(n, Error, codeSyntax, "tags are not accepted", "write the plain value")
	default:
		r.at(n, Error, codeWrongType, fmt.Sprintf("%s is %s, expected %s", what, kindName(n), want), "")
	}
}

func kindName(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "empty"
	}
	if text, ok := scalarText(n); ok {
		return fmt.Sprintf("%q", text)
	}
	return "something else"
}

// dispatch hands every field to its function; unknown keys are problems with
// the nearest known one, missing required ones too. Keys that begin with x-
// are kept for others and ignored.
func (r *reader) dispatch(n ast.Node, what string, known map[string]func(ast.Node), required ...string) {
	given := map[string]bool{}
	for _, f := range r.fields(n, what) {
		given[f.key] = true
		read, ok := known[f.key]
		switch {
		case ok:
			read(f.value)
		case !strings.HasPrefix(f.key, "x-"):
			r.at(f.at, Error, codeUnknownKey, fmt.Sprintf("%s has no key %q", what, f.key), checks.Nearest(f.key, keys(known)))
		}
	}
	for _, name := range required {
		if !given[name] {
			r.at(n, Error, codeMissing, fmt.Sprintf("%s needs %q", what, name), "")
		}
	}
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// items are the elements of a list; null is an empty one.
func (r *reader) items(n ast.Node, what string) []ast.Node {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		return n.Values
	}
	r.refuse(n, what, "a list")
	return nil
}

// scalarText is a scalar as it is written, before any typing.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}
