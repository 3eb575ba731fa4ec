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

// onlooker is the extension that nearly every site has and that holds nothing
// of the database: it counts what the server is asked. Only a superuser could
// create it, and the copy does not need it.
const onlooker = "pg_stat_statements"

// unwanted: owners, privileges, publications and subscriptions are those of
// the database that was dumped, an extension of the template belongs to who made
// it, and so does its comment, and the dump's transactions would end ours. They
// are passed over, as pg_restore passes them over when it is told to.
func (s *dumpScan) unwanted(st *dumpStatement) bool {
	switch st.at(0) {
	case "GRANT", "REVOKE", "BEGIN", "COMMIT", "START", "END":
		return true
	case "SET":
		return st.is("SET", "SESSION", "AUTHORIZATION") || st.is("SET", "DEFAULT_TABLESPACE")
	case "CREATE":
		return st.is("CREATE", "PUBLICATION") || st.is("CREATE", "SUBSCRIPTION") || st.extension() != "" && s.leaves(st.extension())
	case "COMMENT":
		return st.is("COMMENT", "ON", "PUBLICATION") || st.is("COMMENT", "ON", "SUBSCRIPTION") || st.is("COMMENT", "ON", "EXTENSION")
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

// kind names a statement that is passed over, for people.
func (st *dumpStatement) kind() string {
	switch {
	case st.setsOwner():
		return "OWNER TO"
	case st.is("COMMENT", "ON"), st.is("ALTER", "DEFAULT", "PRIVILEGES"), st.is("SET", "SESSION", "AUTHORIZATION"):
		return strings.Join(st.words[:3], " ")
	case st.extension() != "":
		return "CREATE EXTENSION " + st.extension()
	case st.is("CREATE"), st.is("ALTER"), st.is("SET"):
		return strings.Join(st.words[:min(2, len(st.words))], " ")
	}
	return st.at(0)
}
