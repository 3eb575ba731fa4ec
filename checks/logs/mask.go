package logs

import (
	"regexp"
	"strings"
)

var (
	ipv4  = regexp.MustCompile(`\b(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}\b`)
	ipv6  = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b|\b(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:?){0,6}`)
	email = regexp.MustCompile(`([\w+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)`)
	user  = regexp.MustCompile(`(?i)(\b(?:user(?:[ _]?name)?["']?\s*[:= ]|(?:login|account|email)["']?\s*[:=])\s*["']?|(?:password for|invalid user|failed for(?: user)?)\s+["']?)([\w.+-]+\**)`)
)

// mask hides what of a line is personal: of an address the last part, of a
// user or a mailbox all but the first letter.
func mask(text string) string {
	text = ipv4.ReplaceAllString(text, "$1.x")
	text = ipv6.ReplaceAllStringFunc(text, func(address string) string {
		groups := strings.SplitN(address, ":", 3)
		return groups[0] + ":" + groups[1] + ":x"
	})
	text = email.ReplaceAllString(text, "$1***@$2")
	return user.ReplaceAllStringFunc(text, func(found string) string {
		parts := user.FindStringSubmatch(found)
		if name := strings.ToLower(parts[2]); name == "user" || name == "from" || name == "invalid" || strings.HasSuffix(name, "*") {
			return found // "for user …": the name comes behind it; or it is masked already
		}
		return parts[1] + maskName(parts[2])
	})
}

func maskName(name string) string {
	if name == "" {
		return name
	}
	return name[:1] + "***"
}

// noSource is the key of lines that name no address or user.
const noSource = "(none named)"

// sourceOf is the address or user that a line names, in full: it is masked
// when it is shown.
func sourceOf(by string, text []byte) string {
	if by == "ip" {
		if found := ipv4.Find(text); found != nil {
			return string(found)
		}
		if found := ipv6.Find(text); found != nil {
			return string(found)
		}
		return noSource
	}
	if found := email.Find(text); found != nil {
		return string(found)
	}
	for _, found := range user.FindAllSubmatch(text, 4) {
		name := strings.ToLower(string(found[2]))
		if name != "user" && name != "from" && name != "invalid" {
			return string(found[2])
		}
	}
	return noSource
}
