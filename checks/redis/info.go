package redis

import (
	"strconv"
	"strings"
)

// parseInfo adds the "name:value" lines of an INFO answer to values.
func parseInfo(text string, values map[string]string) {
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && !strings.HasPrefix(name, "#") {
			values[name] = value
		}
	}
}

// count reads a whole number of INFO that cannot be negative.
func count(values map[string]string, name string) (uint64, bool) {
	n, err := strconv.ParseUint(values[name], 10, 63)
	return n, err == nil
}

// database is one line of INFO keyspace.
type database struct {
	number         int
	keys, expiring uint64
}

// parseDatabase reads "db0" and "keys=5,expires=1,avg_ttl=0". Other lines are
// none of its business; a database line it cannot read is not ok.
func parseDatabase(name, value string) (db database, isDatabase, ok bool) {
	digits, found := strings.CutPrefix(name, "db")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !found || err != nil {
		return database{}, false, true
	}
	db.number = int(n)
	fields := map[string]string{}
	for field := range strings.SplitSeq(value, ",") {
		key, number, _ := strings.Cut(field, "=")
		fields[key] = number
	}
	var okKeys, okExpires bool
	db.keys, okKeys = count(fields, "keys")
	db.expiring, okExpires = count(fields, "expires")
	return db, true, okKeys && okExpires
}
