package postgres

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const dumpEnd = "\n--\n-- PostgreSQL database dump complete\n--\n\n"

func scanned(t testing.TB, dump string) dumpFindings {
	t.Helper()
	found, err := scanDump(strings.NewReader(dump), nil, (&dumpFile{}).leaves)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWhatADumpMustNotHoldIsFound(t *testing.T) {
	t.Parallel()
	for dump, what := range map[string]string{
		`\connect production`:                          `\connect production`,
		`\! touch /tmp/x`:                              `\! touch`,
		`SELECT 1 \! ls`:                               `\! ls`,
		"-- comment\r\\! ls":                           `\! ls`,
		"\\unrestrict abc\n\\! ls":                     `\unrestrict abc`,
		"\\restrict abc\n\\unrestrict abd\n":           `\unrestrict abd`,
		"\\restrict abc def\n":                         `\restrict abc def`,
		"SET a = 'x'\n\\restrict abc\n;":               `\restrict`,
		`COPY public.users TO PROGRAM 'cat > /tmp/x';`: "PROGRAM",
		`COPY public.users FROM PROGRAM 'id';`:         "PROGRAM",
		`copy public.users from '/etc/passwd';`:        "other than FROM stdin",
		`COPY (SELECT 1) TO STDOUT;`:                   "other than FROM stdin",
		"COPY a FROM stdin; \\! ls\n\\.\n":             "something behind COPY",
		"COPY a FROM stdin\\; SELECT 1;\n":             `\; SELECT 1`,
		"COPY a FROM stdin;\n1\n\\.\n\\! ls\n":         `\! ls`,
		"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; COPY x FROM stdin;\n\\! ls\n\\.\nEND;": `\! ls`,
		`CREATE DATABASE x;`:                                                         "CREATE DATABASE",
		`ALTER DATABASE lms SET search_path = x;`:                                    "ALTER DATABASE",
		`DROP DATABASE lms;`:                                                         "DROP DATABASE",
		`create /* x */ role -- y` + "\n" + `bob;`:                                   "CREATE ROLE",
		`ALTER USER bob SUPERUSER;`:                                                  "ALTER USER",
		`ALTER SYSTEM SET archive_command = 'x';`:                                    "ALTER SYSTEM",
		`CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f();`:            "EVENT TRIGGER",
		`CREATE SERVER s FOREIGN DATA WRAPPER dblink_fdw;`:                           "CREATE SERVER",
		`CREATE TABLESPACE t LOCATION '/x';`:                                         "TABLESPACE",
		`ALTER EXTENSION x UPDATE;`:                                                  "ALTER EXTENSION",
		`CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'system';`:       "LANGUAGE c",
		`CREATE FUNCTION f() RETURNS int LANGUAGE "c" AS 'libc.so.6';`:               "LANGUAGE c",
		`CREATE OR REPLACE TRUSTED LANGUAGE plpython3u;`:                             "LANGUAGE plpython3u",
		`DO $$ BEGIN PERFORM 1; END $$;`:                                             "DO",
		`SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);`: "set_config",
		`SELECT pg_read_file('/etc/passwd');`:                                        "pg_read_file",
		`SELECT pg_catalog.setval('s', (SELECT evil()));`:                            "setval",
		`SET standard_conforming_strings = off;`:                                     "standard_conforming_strings",
		`SET client_encoding TO 'SJIS';`:                                             "encoding",
		`SET ROLE postgres;`:                                                         "SET ROLE",
		`COMMENT ON DATABASE lms IS 'x';`:                                            "COMMENT ON DATABASE",
		"SELECT 1;\x00":                                                              "NUL",
		"SET a = 1E'\\' \\! ls';":                                                    "runs into a word",
		"SET a = E'x'\n'\\' \\! ls';":                                                "another line",
		"SELECT :'VERSION';":                                                         "psql variable",
		"(SELECT 1);":                                                                "no word",
	} {
		found := scanned(t, "CREATE TABLE a ();\n"+dump+dumpEnd)
		if len(found.hits) == 0 || !strings.Contains(fmt.Sprint(found.hits), what) {
			t.Errorf("%q: found %v, want %q", dump, found.hits, what)
		}
	}
}

// harmless is what pg_dump writes and looks dangerous.
const harmless = `--
-- PostgreSQL database dump
--

\restrict AbC123

-- Dumped from database version 15.18 (Debian)
-- Dumped by pg_dump version 15.18 (Debian)

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
CREATE FUNCTION public.language(c integer) RETURNS integer LANGUAGE plpgsql AS $_$ BEGIN
\! ls
COPY x FROM PROGRAM 'ls'; -- $x$ $_ $
RETURN $1; END; $_$;
CREATE FUNCTION public.two() RETURNS integer BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 2; END;
CREATE TABLE public.language (
    id integer DEFAULT 1 NOT NULL,
    program text DEFAULT E'it''s \\\' \\! ls'::text,
    path text DEFAULT 'C:\new'::text CHECK ((path <> 'DROP DATABASE x;'::text)) -- \connect
);
/* \connect /* nested */ lms */
ALTER TABLE public.language OWNER TO lms;
CREATE VIEW public."odd\name" AS SELECT language.id, (ARRAY[1,2])[1:2] AS s, 1e+20 AS big FROM public.language;
CREATE RULE r AS ON DELETE TO public.language DO INSTEAD (SELECT 1; SELECT 2; );
COPY public.program (id, program) FROM stdin;
1	\\! ls
\N	\\connect lms
3	DROP DATABASE x; 'unbalanced
\.


SELECT pg_catalog.setval('public.s', 1, true);
ALTER DEFAULT PRIVILEGES FOR ROLE lms REVOKE ALL ON TABLES FROM lms;
GRANT ALL ON TABLE public.language TO lms;
CREATE PUBLICATION p FOR ALL TABLES;
--
-- PostgreSQL database dump complete
--

\unrestrict AbC123

`

func TestWhatPgDumpWritesIsNoHitAndOwnersAreLeftOut(t *testing.T) {
	t.Parallel()
	var cleaned bytes.Buffer
	found, err := scanDump(strings.NewReader(harmless), &cleaned, (&dumpFile{}).leaves)
	if err != nil || len(found.hits) > 0 || found.damage != "" {
		t.Fatalf("%v %v %q", err, found.hits, found.damage)
	}
	if found.tables != 1 || found.rows != 3 || len(found.extensions) != 2 || found.extensions[0].what != "uuid-ossp" || !strings.HasPrefix(found.from, "15.18") {
		t.Errorf("%+v", found)
	}
	for _, gone := range []string{"restrict", "OWNER TO", "GRANT ALL", "PUBLICATION", "DEFAULT PRIVILEGES"} {
		if strings.Contains(cleaned.String(), gone) {
			t.Errorf("%s is still there:\n%s", gone, cleaned.String())
		}
	}
	for _, stays := range []string{"3\tDROP DATABASE x; 'unbalanced\n\\.\n", "RETURN $1; END; $_$;", "setval", `E'it''s \\\' \\! ls'`} {
		if !strings.Contains(cleaned.String(), stays) {
			t.Errorf("%s is gone:\n%s", stays, cleaned.String())
		}
	}
	if again := scanned(t, cleaned.String()); len(again.hits) > 0 || again.rows != 3 || again.damage != "" {
		t.Errorf("the cleaned dump: %+v", again)
	}
}

func TestADumpThatEndsTooEarlyIsDamaged(t *testing.T) {
	t.Parallel()
	for cut := 1; cut < len(harmless)-100; cut += 7 {
		if found := scanned(t, harmless[:cut]); found.damage == "" && len(found.hits) == 0 {
			t.Errorf("cut after %d bytes it is called whole: %q", cut, harmless[max(0, cut-20):cut])
		}
	}
}

// FuzzScanDump plants a command into a dump of random pieces. Outside of texts
// and rows it is always found, within never.
func FuzzScanDump(f *testing.F) {
	f.Add([]byte("aCb\\d'e$f"), "text with 'quotes', $$ and \\", uint8(3), false)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, "\\.\n\\N\t*/ --", uint8(5), true)
	f.Fuzz(func(t *testing.T, kinds []byte, text string, at uint8, inside bool) {
		const planted = `\! touch /tmp/planted`
		text = strings.ReplaceAll(text, "\x00", "")
		var dump strings.Builder
		pieces := min(len(kinds), 40)
		for n := range pieces + 1 {
			here := n == int(at)%(pieces+1)
			if here && !inside {
				dump.WriteString(planted + "\n")
			}
			if n < pieces {
				dump.WriteString(piece(kinds[n], text))
			}
			if here && inside {
				dump.WriteString(piece(at, planted+"\n"+text))
			}
		}
		found := scanned(t, dump.String()+dumpEnd)
		if inside && (len(found.hits) > 0 || found.damage != "") {
			t.Errorf("%v %s in:\n%s", found.hits, found.damage, dump.String())
		}
		if !inside && !strings.Contains(fmt.Sprint(found.hits), `\! touch`) {
			t.Errorf("not found, but %v, in:\n%s", found.hits, dump.String())
		}
	})
}

// piece is a statement that holds a text in one of the ways in which a dump can.
func piece(kind byte, text string) string {
	line := strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
	switch kind % 8 {
	case 0:
		return "COMMENT ON TABLE a IS '" + strings.ReplaceAll(text, "'", "''") + "';\n"
	case 1:
		return "INSERT INTO a VALUES (E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "', 1);\n"
	case 2:
		return `CREATE TABLE "` + strings.ReplaceAll(text, `"`, `""`) + "\" (id integer);\n"
	case 3:
		return "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body_1$" + strings.ReplaceAll(text, "$", "S") + "$body_1$;\n"
	case 4:
		return "-- " + line + "\n"
	case 5:
		return "/* " + strings.NewReplacer("*", "x", "/", "y").Replace(text) + " /* nested */ */\n"
	case 6:
		return "COPY public.a (id, name) FROM stdin;\n1\t" + strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r", "\t", "\\t").Replace(text) + "\n\\.\n\n"
	default:
		return "CREATE RULE r AS ON INSERT TO a DO (SELECT '" + strings.ReplaceAll(text, "'", "''") + "'; SELECT 2);\n"
	}
}
