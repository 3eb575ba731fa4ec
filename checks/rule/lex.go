package rule

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	endToken tokenKind = iota
	wordToken
	numberToken
	quoteToken
	opToken
	openToken
	closeToken
	otherToken
)

type token struct {
	kind  tokenKind
	col   int
	text  string // as written
	value string // of a quoted text, unquoted
}

// shown is the token as an error message names it.
func (t token) shown() string {
	if t.kind == endToken {
		return "the end of the rule"
	}
	return strconv.Quote(t.text)
}

// lex splits a rule into tokens, the last of which is the end.
func lex(src string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(src); {
		if c := src[i]; c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
			continue
		}
		t, size, err := scan(src[i:], utf8.RuneCountInString(src[:i])+1)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		i += size
	}
	return append(tokens, token{kind: endToken, col: utf8.RuneCountInString(src) + 1}), nil
}

func scan(src string, col int) (token, int, error) {
	c := src[0]
	switch {
	case c == '(':
		return token{kind: openToken, col: col, text: "("}, 1, nil
	case c == ')':
		return token{kind: closeToken, col: col, text: ")"}, 1, nil
	case c == '"':
		return scanQuoted(src, col)
	case strings.IndexByte("<>=!", c) >= 0:
		return scanOperator(src, col)
	case c >= '0' && c <= '9' || c == '-' || c == '.':
		return scanWhile(src, col, numberToken, func(c byte) bool { return isWordByte(c) || c == '.' || c == '%' || c == '-' })
	case isWordByte(c):
		return scanWhile(src, col, wordToken, func(c byte) bool { return isWordByte(c) || c == '.' || c == '-' })
	}
	r, size := utf8.DecodeRuneInString(src)
	return token{kind: otherToken, col: col, text: string(r)}, size, nil
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func scanWhile(src string, col int, k tokenKind, in func(byte) bool) (token, int, error) {
	end := 1
	for end < len(src) && in(src[end]) {
		end++
	}
	return token{kind: k, col: col, text: src[:end]}, end, nil
}

func scanOperator(src string, col int) (token, int, error) {
	for _, op := range []string{">=", "<=", "==", "!=", ">", "<"} {
		if strings.HasPrefix(src, op) {
			return token{kind: opToken, col: col, text: op}, len(op), nil
		}
	}
	return token{kind: otherToken, col: col, text: src[:1]}, 1, nil
}

func scanQuoted(src string, col int) (token, int, error) {
	quoted, err := strconv.QuotedPrefix(src)
	if err != nil {
		return token{}, 0, &SyntaxError{col, "a quoted text does not end", `write "text"`}
	}
	value, err := strconv.Unquote(quoted)
	if err != nil {
		return token{}, 0, &SyntaxError{col, fmt.Sprintf("%s is not a text", quoted), `write "text"`}
	}
	return token{kind: quoteToken, col: col, text: quoted, value: value}, len(quoted), nil
}
