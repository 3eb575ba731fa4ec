package site

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// dsnFile is a file that a connection string names: of passwords, of services, of
// a key and certificates. Each decides who is spoken to, or as whom.
var dsnFile = regexp.MustCompile(`(?:^|[\s?&])(?:passfile|servicefile|sslkey|sslcert|sslrootcert)\s*=\s*('[^']*'|[^\s&]+)`)

// strangersFile is the refusal of the first file of a connection string that
// somebody else could have written; nil if there is none.
func strangersFile(dsn string) *owner.Refusal {
	rule, err := owner.Current()
	for _, m := range dsnFile.FindAllStringSubmatch(dsn, -1) {
		path := strings.Trim(m[1], "'")
		if plain, bad := url.QueryUnescape(path); bad == nil && strings.Contains(dsn, "://") {
			path = plain
		}
		if path == "system" { // of sslrootcert: the host's own authorities
			continue
		}
		checked := err
		if checked == nil {
			checked = rule.Check(path)
		}
		var refused *owner.Refusal
		if errors.As(checked, &refused) {
			return refused
		}
	}
	return nil
}
