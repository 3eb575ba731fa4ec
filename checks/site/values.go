package site

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// reference is ${name}, ${env:NAME} or ${file:PATH}.
var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// maxSecretFile bounds what ${file:…} reads.
const maxSecretFile = 64 << 10

// text is a scalar with its references resolved, once: what a reference gives
// is not looked at again.
func (r *reader) text(n ast.Node, what string) string {
	raw, ok := scalarText(n)
	if !ok {
		r.refuse(n, what, "a text")
		return ""
	}
	if placeholder := placeholderIn(raw); placeholder != "" {
		r.at(n, Error, codePlaceholder, fmt.Sprintf("%q is a placeholder of the guide", placeholder), "write the site's own value")
	}
	return reference.ReplaceAllStringFunc(raw, func(ref string) string {
		return r.resolve(n, ref[2:len(ref)-1])
	})
}

// placeholders are what the guide leaves to be filled in.
var placeholders = []string{"yourdomain.com", "new_strong_password", "package-name", "changeme", "admin@yourdomain", "<TOKEN>"}

func placeholderIn(text string) string {
	for _, p := range placeholders {
		if strings.Contains(text, p) {
			return p
		}
	}
	return ""
}

func (r *reader) resolve(n ast.Node, name string) string {
	if key, ok := strings.CutPrefix(name, "env:"); ok {
		value := r.env(key)
		if value == "" {
			return r.withhold(n, fmt.Sprintf("the environment variable %s is empty or not set", key), "")
		}
		return r.secret(value)
	}
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		value, err := secretFile(path)
		var refused *owner.Refusal
		switch {
		case errors.As(err, &refused):
			return r.withhold(n, refused.Cause(), refused.Remedy)
		case errors.Is(err, fs.ErrPermission):
			return r.withhold(n, err.Error(), "")
		}
		if err != nil {
			r.at(n, Error, codeSecret, err.Error(), "")
		}
		return r.secret(value)
	}
	value, ok := r.vars[name]
	if !ok {
		r.at(n, Error, codeVariable, fmt.Sprintf("there is no variable %q", name), checks.Nearest(name, keys(r.vars)))
	}
	return value
}

// withheld stands where a secret is that this user cannot have.
const withheld = "(withheld)"

// withhold notes that a secret is not for this user. Whether that is wrong is
// known at the end: a supervisor of its own may have it.
func (r *reader) withhold(n ast.Node, why, hint string) string {
	r.closed = append(r.closed, closed{n, why, hint})
	return withheld
}

// A closed secret, why it is, and what to do about it.
type closed struct {
	at        ast.Node
	why, hint string
}

// judgeClosed makes errors of the secrets that could not be had, unless the
// site has a supervisor of its own, which alone needs them.
func (p *builder) judgeClosed() {
	for _, c := range p.closed {
		if p.site.Socket == "" {
			p.at(c.at, Error, codeSecret, c.why, c.hint)
			continue
		}
		p.site.Withheld = append(p.site.Withheld, c.why)
	}
}

func (r *reader) secret(value string) string {
	if value != "" {
		r.secrets = append(r.secrets, value)
	}
	return value
}

// secretFile reads a secret's file: a regular one that may steer us, since its
// content goes to a target, and that no one else may read.
func secretFile(path string) (string, error) {
	rule, err := owner.Current()
	if err != nil {
		return "", err
	}
	f, err := rule.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the secret file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("the secret file %s is not a regular file", path)
	case info.Mode().Perm()&0o037 != 0:
		return "", fmt.Errorf("the secret file %s can be read or changed by others (mode %04o): chmod 0600 or 0640", path, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the secret file: %w", err)
	}
	if len(raw) > maxSecretFile {
		return "", fmt.Errorf("the secret file %s is larger than %d KiB", path, maxSecretFile>>10)
	}
	value := strings.TrimRight(string(raw), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the secret file %s is empty", path)
	}
	return value, nil
}

// into returns a function that reads a text into a variable.
func (r *reader) into(to *string, what string) func(ast.Node) {
	return func(n ast.Node) { *to = r.text(n, what) }
}

func (r *reader) duration(to *time.Duration, what string) func(ast.Node) {
	return func(n ast.Node) {
		d, err := checks.ParseDuration(r.text(n, what))
		if err != nil {
			r.at(n, Error, codeWrongType, fmt.Sprintf("%s: %v", what, err), "")
		}
		*to = d
	}
}

func (r *reader) flag(to *bool, what string) func(ast.Node) {
	return func(n ast.Node) {
		switch text := r.text(n, what); text {
		case "true":
			*to = true
		case "false":
			*to = false
		default:
			r.at(n, Error, codeWrongType, fmt.Sprintf("%s is %q, expected true or false", what, text), "")
		}
	}
}

func (r *reader) number(to *int, what string) func(ast.Node) {
	return func(n ast.Node) {
		number, err := strconv.Atoi(r.text(n, what))
		if *to = number; err != nil {
			r.at(n, Error, codeWrongType, fmt.Sprintf("%s is %s, expected a whole number", what, kindName(n)), "")
		}
	}
}

func (r *reader) texts(to *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		if _, scalar := scalarText(n); scalar {
			*to = []string{r.text(n, what)}
			return
		}
		for _, item := range r.items(n, what) {
			*to = append(*to, r.text(item, what))
		}
	}
}

func (r *reader) password(to *checks.Secret, what string) func(ast.Node) {
	return func(n ast.Node) {
		raw, _ := scalarText(n)
		value := r.text(n, what)
		if value != "" && !strings.Contains(raw, "${") {
			r.secret(value)
			r.at(n, Warning, codeSecret, what+" stands in the file in clear text", "write ${file:/path} or ${env:NAME}")
		}
		*to = checks.NewSecret(value)
	}
}

// plain converts a node into what Bind takes: maps, lists, numbers, bools and
// texts with their references resolved.
func (r *reader) plain(n ast.Node, what string) any {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		for _, f := range r.fields(n, what) {
			m[f.key] = r.plain(f.value, what)
		}
		return m
	case *ast.SequenceNode:
		list := []any{}
		for _, item := range n.Values {
			list = append(list, r.plain(item, what))
		}
		return list
	case *ast.IntegerNode:
		if i, err := asInt(n.Value); err == nil {
			return i
		}
		return n.GetToken().Value
	case *ast.FloatNode:
		return n.Value
	case *ast.BoolNode:
		return n.Value
	}
	return r.text(n, what)
}

func asInt(v any) (int, error) {
	switch v := v.(type) {
	case int64:
		return int(v), nil
	case uint64:
		return int(v), nil
	}
	return 0, errors.New("not an integer")
}
