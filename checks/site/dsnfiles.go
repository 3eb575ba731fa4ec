package site

import (
	"errors"
	"slices"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// dsnFiles are the settings of a connection string that name a file: of passwords,
// of services, of a key and certificates. Each decides who is spoken to, or as whom.
var dsnFiles = []string{"passfile", "servicefile", "sslkey", "sslcert", "sslrootcert"}

// strangersFile is the refusal of the first file of a connection string that
// somebody else could have written; nil if there is none.
func strangersFile(dsn string) *owner.Refusal {
	rule, err := owner.Current()
	for _, s := range dsnSettings(dsn) {
		if !slices.Contains(dsnFiles, s.key) || s.value == "" || s.value == "system" { // system: the host's own authorities
			continue
		}
		checked := err
		if checked == nil {
			checked = rule.Check(s.value)
		}
		var refused *owner.Refusal
		if errors.As(checked, &refused) {
			return refused
		}
	}
	return nil
}
