package site

import (
	"net/url"
	"strings"
)

// blanks separate the settings of a keyword/value connection string.
const blanks = " \t\n\r\v\f"

// A dsnSetting is one setting of a connection string, its value as PostgreSQL
// reads it. text[from:to] is the setting with what separates it from others.
type dsnSetting struct {
	key, value string
	from, to   int
}

// dsnSettings reads the settings of a connection string by libpq's rules, the
// later of two of one key being the one that counts. Of a text that breaks the
// rules it has what stands before the break.
func dsnSettings(text string) []dsnSetting {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if strings.HasPrefix(text, scheme) {
			return urlSettings(text, len(scheme))
		}
	}
	return keywordSettings(text)
}

// urlSettings reads the password before the @, and the query.
func urlSettings(text string, at int) (all []dsnSetting) {
	if i := strings.IndexAny(text[at:], "@/"); i >= 0 && text[at+i] == '@' {
		if colon := strings.IndexByte(text[at:at+i], ':'); colon >= 0 {
			all = append(all, dsnSetting{"password", decoded(text[at+colon+1 : at+i]), at + colon, at + i})
		}
		at += i + 1
	}
	query := strings.IndexByte(text[at:], '?')
	if query < 0 {
		return all
	}
	for at += query + 1; at < len(text); {
		end, next := len(text), len(text)
		if i := strings.IndexByte(text[at:], '&'); i >= 0 {
			end, next = at+i, at+i+1
		}
		key, value, _ := strings.Cut(text[at:end], "=")
		all = append(all, dsnSetting{decoded(key), decoded(value), at, next})
		at = next
	}
	return all
}

// decoded is a part of a URL without percent encoding; a + is a plus.
func decoded(part string) string {
	part = strings.Trim(part, " ")
	if plain, err := url.PathUnescape(part); err == nil {
		return plain
	}
	return part
}

// keywordSettings reads host=h password = 'a b'.
func keywordSettings(text string) (all []dsnSetting) {
	for at := 0; ; {
		equals := strings.IndexByte(text[at:], '=')
		if equals < 0 {
			return all
		}
		s := dsnSetting{key: strings.Trim(text[at:at+equals], blanks), from: at}
		at += equals + 1
		at += len(text[at:]) - len(strings.TrimLeft(text[at:], blanks))
		s.value, s.to = keywordValue(text, at)
		if strings.Trim(text[s.to:], blanks) == "" {
			s.to = len(text)
		}
		all, at = append(all, s), s.to
	}
}

// keywordValue reads the value that begins at a place, in quotes or not, and
// where it ends. A backslash takes the byte behind it as it is.
func keywordValue(text string, at int) (value string, end int) {
	quoted := at < len(text) && text[at] == '\''
	if quoted {
		at++
	}
	var b strings.Builder
	for ; at < len(text); at++ {
		switch c := text[at]; {
		case quoted && c == '\'':
			return b.String(), at + 1
		case !quoted && strings.IndexByte(blanks, c) >= 0:
			return b.String(), at
		case c == '\\':
			if at++; at < len(text) {
				b.WriteByte(text[at])
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), len(text)
}

// dsnSecrets are the values of a connection string that must not be shown: the
// password, which is given last if there are several, and a key's passphrase.
func dsnSecrets(settings []dsnSetting) (password string, all []string) {
	for _, s := range settings {
		if s.value == "" || s.key != "password" && s.key != "sslpassword" {
			continue
		}
		all = append(all, s.value)
		if s.key == "password" {
			password = s.value
		}
	}
	return password, all
}

// withoutPassword is a connection string without any password. A passphrase of
// a key stays: pgconn takes it from nowhere else.
func withoutPassword(text string, settings []dsnSetting) string {
	var b strings.Builder
	at := 0
	for _, s := range settings {
		if s.key == "password" {
			b.WriteString(text[at:s.from])
			at = s.to
		}
	}
	b.WriteString(text[at:])
	if strings.HasPrefix(text, "postgres") && strings.Contains(text, "://") {
		return strings.TrimRight(b.String(), "?&")
	}
	return strings.TrimLeft(b.String(), blanks)
}
