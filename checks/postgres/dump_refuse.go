package postgres

import (
	"slices"
	"strings"
)

// beyond are the objects that belong to the whole server, or reach out of it,
// by the word or the words behind CREATE, ALTER, DROP and COMMENT ON.
var beyond = [][]string{
	{"DATABASE"}, {"ROLE"}, {"USER"}, {"GROUP"}, {"SYSTEM"}, {"TABLESPACE"}, {"SERVER"},
	{"EVENT", "TRIGGER"}, {"FOREIGN", "DATA", "WRAPPER"},
}

// written are the statements that pg_dump writes, beside CREATE, ALTER, DROP,
// COPY, SELECT and SET, and what it writes about objects of the database.
var written = []string{"COMMENT", "INSERT", "REFRESH", "SECURITY", "GRANT", "REVOKE", "BEGIN", "COMMIT", "START", "END", "RESET", "ANALYZE"}

// refused says why a statement does not belong into a dump; "" if it does.
func (st *dumpStatement) refused() string {
	verb := st.at(0)
	switch verb {
	case "COPY":
		return st.refusedCopy()
	case "SELECT":
		return st.refusedCall()
	case "SET":
		return st.refusedSetting()
	case "CREATE", "ALTER", "DROP":
		return st.refusedObject(verb)
	case "COMMENT":
		if what := st.reaches(2); what != "" {
			return "COMMENT ON " + what
		}
	case "GRANT", "REVOKE":
		return "" // left out of what is restored
	case "":
		return "a statement that begins with no word"
	}
	if !slices.Contains(written, verb) {
		return verb + ", which pg_dump does not write"
	}
	return ""
}

func (st *dumpStatement) refusedCopy() string {
	switch {
	case st.program:
		return "COPY with PROGRAM, which runs a command on the server"
	case !st.readsData():
		return "COPY other than FROM stdin"
	}
	return ""
}

// calls are the functions that pg_dump calls.
var calls = []string{"SETVAL", "LO_CREATE", "LO_OPEN", "LO_CLOSE", "LOWRITE", "LO_UNLINK", "LO_FROM_BYTEA", "LO_PUT"}

func (st *dumpStatement) refusedCall() string {
	words := st.words[1:]
	if st.at(1) == "PG_CATALOG" {
		words = words[1:]
	}
	harmless := !slices.ContainsFunc(st.inner, func(w string) bool { return w != "TRUE" && w != "FALSE" })
	switch {
	case !harmless || len(words) != 1:
	case slices.Contains(calls, words[0]), words[0] == "SET_CONFIG" && st.first == "search_path":
		return ""
	}
	return "SELECT of what pg_dump does not call: " + strings.ToLower(strings.Join(st.words[1:min(len(st.words), 4)], "."))
}

// plainEncodings have neither quotes nor backslashes within their letters, as
// SJIS, BIG5 and GBK have: psql reads those by their letters, we do not.
var plainEncodings = []string{"UTF8", "UNICODE", "SQLASCII", "LATIN", "ISO8859", "WIN1", "WIN866", "WIN874", "WINDOWS1", "WINDOWS8", "KOI8", "EUC"}

func isPlainEncoding(name string) bool {
	name = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToUpper(name))
	if strings.HasPrefix(name, "WIN9") || strings.HasPrefix(name, "WINDOWS9") { // Microsoft's names of the others
		return false
	}
	return slices.ContainsFunc(plainEncodings, func(plain string) bool { return strings.HasPrefix(name, plain) })
}

// refusedSetting: what changes how psql reads the dump.
func (st *dumpStatement) refusedSetting() string {
	name := st.at(1)
	if name == "LOCAL" || name == "SESSION" && st.at(2) != "AUTHORIZATION" {
		name = st.at(2)
	}
	switch {
	case name == "ROLE":
		return "SET ROLE"
	case name == "STANDARD_CONFORMING_STRINGS" && st.last() != "ON":
		return "standard_conforming_strings that is not on"
	case (name == "CLIENT_ENCODING" || name == "NAMES") && !isPlainEncoding(st.first) && !isPlainEncoding(st.last()):
		return "an encoding in which a letter may look like a command"
	case strings.HasPrefix(name, `"`):
		return "a setting in quotes"
	}
	return ""
}

func (st *dumpStatement) refusedObject(verb string) string {
	if what := st.reaches(1); what != "" {
		return verb + " " + what
	}
	switch {
	case verb != "CREATE" && st.at(1) == "EXTENSION":
		return verb + " EXTENSION"
	case st.isRoutine() && (st.language == "C" || st.language == "INTERNAL"):
		return "a function of the server's own code: LANGUAGE " + strings.ToLower(st.language)
	case st.makesLanguage() && st.language != "PLPGSQL":
		return "CREATE LANGUAGE " + strings.ToLower(st.language)
	}
	return ""
}

func (st *dumpStatement) makesLanguage() bool {
	words := slices.DeleteFunc(slices.Clone(st.words[:min(len(st.words), 6)]), func(w string) bool {
		return w == "OR" || w == "REPLACE" || w == "TRUSTED" || w == "PROCEDURAL"
	})
	return len(words) > 1 && words[0] == "CREATE" && words[1] == "LANGUAGE"
}

// reaches names what lies beyond the database, at a word of the statement.
func (st *dumpStatement) reaches(n int) string {
	for _, what := range beyond {
		if len(st.words) >= n+len(what) && slices.Equal(st.words[n:n+len(what)], what) {
			return strings.Join(what, " ")
		}
	}
	return ""
}
