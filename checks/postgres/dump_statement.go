package postgres

import (
	"slices"
	"strings"
)

// A dumpStatement is what a dumpScan remembers of the statement under way: enough
// to tell whether pg_dump writes such a one, and where psql thinks it ends.
type dumpStatement struct {
	line   int // where it begins
	tokens int
	words  []string // the first words outside parentheses, in upper case; names in quotes as "name"
	inner  []string // the first words within parentheses
	first  string   // beginning of its first string
	texts  int      // strings in it

	depth  int // of parentheses
	begins int // of BEGIN … END in the body of a function

	// Of a COPY:
	from, stdin, more, program bool

	language string // of a function

	// Of the string before, if nothing but white space has followed: it may go
	// on in the next line.
	afterEscaped, newline bool
}

const maxWords = 24

func (st *dumpStatement) empty() bool { return st.tokens == 0 }

// open: psql sends a statement only outside of parentheses and of a body.
func (st *dumpStatement) open() bool { return st.depth > 0 || st.begins > 0 }

func (st *dumpStatement) token() {
	st.tokens++
	st.afterEscaped = false
	if st.stdin {
		st.more = true
	}
}

func (st *dumpStatement) symbol(c byte) {
	st.token()
	switch c {
	case '(':
		st.depth++
	case ')':
		st.depth = max(0, st.depth-1)
	}
}

func (st *dumpStatement) literal(text string) {
	st.token()
	if st.texts++; st.texts == 1 {
		st.first = text
	}
	st.inLanguage(text)
}

// name is one in double quotes, never a keyword.
func (st *dumpStatement) name(text string) {
	st.token()
	st.inLanguage(text)
	st.remember(`"` + text + `"`)
}

func (st *dumpStatement) word(text string) {
	st.token()
	text = strings.ToUpper(text)
	st.bodies(text)
	if st.depth == 0 && st.is("COPY") {
		st.stdin = st.stdin || st.from && st.last() == "FROM" && text == "STDIN"
		st.from = st.from || text == "FROM"
		st.program = st.program || text == "PROGRAM" && (st.last() == "FROM" || st.last() == "TO")
	}
	st.inLanguage(text)
	st.remember(text)
}

// inLanguage notes what follows LANGUAGE; the last one counts, for a function
// may be called that.
func (st *dumpStatement) inLanguage(text string) {
	if st.depth == 0 && st.last() == "LANGUAGE" {
		st.language = strings.ToUpper(text)
	}
}

func (st *dumpStatement) last() string {
	if len(st.words) == 0 {
		return ""
	}
	return st.words[len(st.words)-1]
}

// remember keeps the first words, and always the last one.
func (st *dumpStatement) remember(text string) {
	switch {
	case st.depth > 0:
		if len(st.inner) < maxWords {
			st.inner = append(st.inner, text)
		}
	case len(st.words) < maxWords:
		st.words = append(st.words, text)
	default:
		st.words[maxWords-1] = text
	}
}

// bodies counts BEGIN, CASE and END as psql does in CREATE FUNCTION.
func (st *dumpStatement) bodies(text string) {
	if st.depth > 0 || !st.isRoutine() {
		return
	}
	switch {
	case text == "BEGIN", text == "CASE" && st.begins > 0:
		st.begins++
	case text == "END" && st.begins > 0:
		st.begins--
	}
}

func (st *dumpStatement) isRoutine() bool {
	for _, kind := range []string{"FUNCTION", "PROCEDURE"} {
		if st.is("CREATE", kind) || st.is("CREATE", "OR", "REPLACE", kind) {
			return true
		}
	}
	return false
}

func (st *dumpStatement) is(words ...string) bool {
	return len(st.words) >= len(words) && slices.Equal(st.words[:len(words)], words)
}

func (st *dumpStatement) at(n int) string {
	if n >= len(st.words) {
		return ""
	}
	return st.words[n]
}

// readsData: rows follow it.
func (st *dumpStatement) readsData() bool { return st.is("COPY") && st.stdin && !st.more }

// extension is the name of an extension that the statement creates.
func (st *dumpStatement) extension() string {
	n := 2
	if st.is("CREATE", "EXTENSION", "IF", "NOT", "EXISTS") {
		n = 5
	} else if !st.is("CREATE", "EXTENSION") {
		return ""
	}
	name := st.at(n)
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		return strings.TrimSuffix(quoted, `"`)
	}
	return strings.ToLower(name)
}

// unwanted: owners, privileges, publications and subscriptions are those of
// the database that was dumped, and its transactions would end ours. They are
// left out, as pg_restore leaves them out when it is told to.
func (st *dumpStatement) unwanted() bool {
	switch st.at(0) {
	case "GRANT", "REVOKE", "BEGIN", "COMMIT", "START", "END":
		return true
	case "SET":
		return st.is("SET", "SESSION", "AUTHORIZATION") || st.is("SET", "DEFAULT_TABLESPACE")
	case "CREATE":
		return st.is("CREATE", "PUBLICATION") || st.is("CREATE", "SUBSCRIPTION")
	case "COMMENT":
		return st.is("COMMENT", "ON", "PUBLICATION") || st.is("COMMENT", "ON", "SUBSCRIPTION")
	case "ALTER":
		return st.is("ALTER", "PUBLICATION") || st.is("ALTER", "SUBSCRIPTION") || st.is("ALTER", "DEFAULT", "PRIVILEGES") || st.setsOwner()
	}
	return false
}

// setsOwner: ALTER … OWNER TO name, with arguments in parentheses or without.
func (st *dumpStatement) setsOwner() bool {
	n := len(st.words)
	return n >= 4 && st.words[n-3] == "OWNER" && st.words[n-2] == "TO"
}

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
