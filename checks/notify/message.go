package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Bounds of a text: a preview shows all of it.
const (
	maxSubject = 200 // characters
	maxLines   = 150
	maxLine    = 1000 // bytes
)

// A message is a text with those it is for.
type message struct {
	site, name           string
	subject, text, event string

	server  *server // nil: no mail
	from    *mail.Address
	to      []*mail.Address
	webhook *url.URL // nil: none
}

// compose reads the arguments and the entry of the site file they name.
func compose(env checks.Env, args checks.Args) (message, error) {
	entry, err := entryOf(env, args.Text("to"))
	if err != nil {
		return message{}, err
	}
	m := message{site: env.Site.Name, name: entry.Name, subject: args.Text("subject"), text: args.Text("text"), event: args.Text("event")}
	if m.event == "" {
		m.event, _, _ = strings.Cut(env.Check, "#") // what stands behind it says which phase asks
	}
	if env.Dialer == nil {
		return m, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	if err := errors.Join(checkSubject(m.subject), checkText(m.text), checkEvent(m.event)); err != nil {
		return m, checks.Failed(checks.Unconfigured, "%w", err)
	}
	if entry.Webhook != "" {
		if m.webhook, err = url.Parse(entry.Webhook); err != nil || m.webhook.Host == "" {
			return m, checks.Failed(checks.Unconfigured, "notify %s: its webhook is not a URL", entry.Name)
		}
	}
	if entry.SMTP == "" {
		return m, nil
	}
	return m, m.address(entry)
}

// address reads the mail's server, sender and recipients.
func (m *message) address(entry checks.Notify) (err error) {
	if m.server, err = parseServer(entry); err != nil {
		return checks.Failed(checks.Unconfigured, "notify %s: %w", entry.Name, err)
	}
	if m.from, err = mail.ParseAddress(entry.From); err != nil {
		return checks.Failed(checks.Unconfigured, "notify %s: the sender %q is not an address", entry.Name, entry.From)
	}
	for _, one := range entry.To {
		to, err := mail.ParseAddress(one)
		if err != nil {
			return checks.Failed(checks.Unconfigured, "notify %s: the recipient %q is not an address", entry.Name, one)
		}
		m.to = append(m.to, to)
	}
	if len(m.to) == 0 {
		return checks.Failed(checks.Unconfigured, "notify %s: mail to nobody", entry.Name)
	}
	return nil
}

func entryOf(env checks.Env, name string) (checks.Notify, error) {
	names := slices.Sorted(maps.Keys(env.Site.Notify))
	switch {
	case len(names) == 0:
		return checks.Notify{}, checks.NotHere{What: "nobody to notify in the site file"}
	case name == "" && len(names) > 1:
		return checks.Notify{}, checks.Failed(checks.Unconfigured, "several to notify: name one of %s", strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	entry, ok := env.Site.Notify[name]
	if !ok {
		return entry, checks.NotHere{What: fmt.Sprintf("no %q under notify in the site file", name)}
	}
	entry.Name = name
	return entry, nil
}

// deliveries are the message's, before anything happened.
func (m message) deliveries() []delivery {
	var all []delivery
	for _, to := range m.to {
		all = append(all, delivery{Recipient: to.Address, Via: viaMail, State: pending})
	}
	if m.webhook != nil {
		all = append(all, delivery{Recipient: m.webhook.Scheme + "://" + m.webhook.Host, Via: viaWebhook, State: pending}) // the rest of it is a secret
	}
	return all
}

// id is the same for every attempt of one action: what a receiver may drop a
// second copy by.
func (m message) id(token string) string {
	return digest("opsdeck notify 1", m.site, m.name, m.event, token)
}

// fingerprint is the same as long as the same goes to the same people.
func (m message) fingerprint() string {
	parts := []string{m.site, m.name, m.event, m.subject, m.text}
	if m.server != nil {
		parts = append(parts, m.server.address(), m.from.String())
	}
	for _, to := range m.to {
		parts = append(parts, to.String())
	}
	if m.webhook != nil {
		parts = append(parts, m.webhook.String())
	}
	return m.name + " " + digest(parts...)
}

// digest is 32 hexadecimal digits of texts of which none runs into the next.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// cautions are what speaks against sending.
func (m message) cautions() []string {
	var all []string
	if m.server != nil && m.server.policy == noTLS && !loopback(m.server.host) {
		all = append(all, "mail goes to "+m.server.host+" without TLS: anybody on the way can read and change it")
	}
	if m.webhook != nil && m.webhook.Scheme == "http" && !loopback(m.webhook.Hostname()) {
		all = append(all, "the webhook at "+m.webhook.Host+" is asked without TLS: anybody on the way can read and change it")
	}
	return all
}

// checkSubject: a header is one line, and a person must have seen all of it.
func checkSubject(value any) error {
	text, _ := value.(string)
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("the subject is empty")
	case strings.ContainsAny(text, "\r\n"):
		return errors.New("the subject has more than one line")
	case utf8.RuneCountInString(text) > maxSubject:
		return fmt.Errorf("the subject is longer than %d characters", maxSubject)
	case clean.Line(text, 0) != text:
		return errors.New("the subject has characters that cannot be shown")
	}
	return nil
}

func checkText(value any) error {
	text, _ := value.(string)
	lines := strings.Split(text, "\n")
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("the text is empty")
	case len(lines) > maxLines:
		return fmt.Errorf("the text has more than %d lines", maxLines)
	}
	for i, line := range lines {
		if len(line) > maxLine {
			return fmt.Errorf("line %d of the text is longer than %d bytes", i+1, maxLine)
		}
		if clean.Line(line, 0) != line {
			return fmt.Errorf("line %d of the text has characters that cannot be shown", i+1)
		}
	}
	return nil
}

var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkEvent(value any) error {
	if text, _ := value.(string); !word.MatchString(text) {
		return fmt.Errorf("%q is not a word of letters, digits and . _ -", text)
	}
	return nil
}
