package markdown

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is one YAML value with its place in the document. Scalars stay text,
// because only the schema knows what they mean: "no", "0640" and "1:30" are
// whatever the key they stand under wants.
type node struct {
	kind   nodeKind
	at     place
	text   string // scalar
	quoted bool
	list   []node
	fields []field
}

type field struct {
	key   string
	at    place
	value node
}

type nodeKind uint8

const (
	scalar nodeKind = iota
	sequence
	mapping
	nothing // a key without a value
)

var nodeKindNames = [...]string{"a value", "a list", "a map", "nothing"}

// get is the value of a key.
func (n node) get(key string) (node, bool) {
	for _, f := range n.fields {
		if f.key == key {
			return f.value, true
		}
	}
	return node{}, false
}

// block reads one YAML text. where maps its lines to the document; the result
// is a mapping. What could not be read at all was reported, and ok is false.
func block(body string, where func(line, col int) place, r *report) (root node, ok bool) {
	start := where(1, 1)
	root = node{kind: mapping, at: start}
	if why := blockFault(body); why != "" {
		r.err(start, "too-deep", "", "%s", why)
		return root, false
	}
	y := yamlReader{where: where, r: r}
	defer func() {
		// The parser has panicked on malformed input before; a document of
		// somebody else must not end the program.
		if p := recover(); p != nil {
			r.err(start, "yaml", "", "the block cannot be read: %v", p)
			root, ok = node{kind: mapping, at: start}, false
		}
	}()
	file, err := parser.ParseBytes([]byte(body), 0, parser.AllowDuplicateMapKey())
	switch {
	case err != nil:
		y.syntax(err, start)
		return root, false
	case len(file.Docs) > 1:
		r.err(start, "yaml", "", "the block holds %d YAML documents, expected one", len(file.Docs))
		return root, false
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		return root, true
	}
	n, ok := y.node(file.Docs[0].Body)
	if ok && n.kind != mapping {
		r.err(n.at, "wrong-type", "", "the block is %s, expected keys with values", nodeKindNames[n.kind])
		return root, false
	}
	return n, ok
}

type yamlReader struct {
	where func(line, col int) place
	r     *report
}

func (y yamlReader) syntax(err error, start place) {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
		y.r.err(y.place(syntax.Token), "yaml", "", "%s", syntax.Message)
		return
	}
	y.r.err(start, "yaml", "", "%v", err)
}

func (y yamlReader) place(t *token.Token) place {
	if t == nil || t.Position == nil {
		return y.where(1, 1)
	}
	return y.where(t.Position.Line, t.Position.Column)
}

// node turns the parser's tree into ours; ok is false where it holds
// something that a runbook may not: then it is reported and left out.
func (y yamlReader) node(n ast.Node) (node, bool) {
	at := y.place(n.GetToken())
	switch n := n.(type) {
	case *ast.NullNode:
		return node{kind: nothing, at: at}, true
	case *ast.StringNode:
		return node{at: at, text: n.Value, quoted: isQuoted(n.Token)}, true
	case *ast.LiteralNode:
		return node{at: at, text: n.Value.Value, quoted: true}, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node{at: at, text: n.GetToken().Value}, true
	case *ast.SequenceNode:
		return y.sequence(n, at), true
	case *ast.MappingNode:
		return y.mapping(n.Values, at), true
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, at), true
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		y.r.err(at, "yaml-subset", "write the value out", "anchors, aliases and merges are not allowed")
	case *ast.TagNode, *ast.DirectiveNode:
		y.r.err(at, "yaml-subset", "the module knows the type", "tags and directives are not allowed")
	default:
		y.r.err(at, "yaml-subset", "", "%s is not allowed", n.Type())
	}
	return node{}, false
}

func isQuoted(t *token.Token) bool {
	return t != nil && (t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType)
}

func (y yamlReader) sequence(n *ast.SequenceNode, at place) node {
	list := node{kind: sequence, at: at}
	for _, v := range n.Values {
		if v == nil {
			continue
		}
		if item, ok := y.node(v); ok {
			list.list = append(list.list, item)
		}
	}
	return list
}

func (y yamlReader) mapping(values []*ast.MappingValueNode, at place) node {
	m := node{kind: mapping, at: at}
	if len(values) > 0 {
		m.at = y.place(values[0].Key.GetToken())
	}
	seen := map[string]place{}
	for _, v := range values {
		where := y.place(v.Key.GetToken())
		key, ok := keyText(v.Key)
		if !ok {
			y.r.err(where, "yaml-subset", "", "a key must be a plain word")
			continue
		}
		if first, twice := seen[key]; twice {
			y.r.err(where, "duplicate-key", fmt.Sprintf("first in line %d", first.line), "%q is given twice", key)
			continue
		}
		seen[key] = where
		if value, ok := y.node(v.Value); ok {
			m.fields = append(m.fields, field{key, where, value})
		}
	}
	return m
}

func keyText(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, true
	}
	return "", false
}

// raw is the value as a module's parameters take it: scalars as text, for the
// parameter's type to read. Inside a map nothing declares a type, so plain
// whole numbers and truth values become what they look like.
func (n node) raw(insideMap bool) any {
	switch n.kind {
	case sequence:
		list := make([]any, len(n.list))
		for i, v := range n.list {
			list[i] = v.raw(insideMap)
		}
		return list
	case mapping:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.key] = f.value.raw(true)
		}
		return m
	case nothing:
		return nil
	}
	if !insideMap || n.quoted {
		return n.text
	}
	if i, err := strconv.Atoi(n.text); err == nil && strconv.Itoa(i) == n.text {
		return i
	}
	if n.text == "true" || n.text == "false" {
		return n.text == "true"
	}
	return n.text
}
