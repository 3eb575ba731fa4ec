package site

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestAPasswordInAnyConnectionStringIsASecret: wherever pgconn finds a password,
// it is known as a secret, and is not in the text that stays.
func TestAPasswordInAnyConnectionStringIsASecret(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	t.Setenv("PGPASSFILE", "/dev/null")
	for _, tt := range []struct{ dsn, password, rest string }{
		{"postgres://u:Sec%2Fret9Zq@h/db", "Sec/ret9Zq", "postgres://u@h/db"},
		{"postgres://u@h/db?password=Sec%2Fret9Zq", "Sec/ret9Zq", "postgres://u@h/db"},
		{"postgres://h/db?user=u&password=Sec+ret9Zq", "Sec+ret9Zq", "postgres://h/db?user=u"},
		{"postgres://h/db?password=Sec%2Fret9Zq&user=u", "Sec/ret9Zq", "postgres://h/db?user=u"},
		{"postgres://h/db?p%61ssword=Sec%2Fret9Zq&user=u", "Sec/ret9Zq", "postgres://h/db?user=u"},
		{"postgres://u:first9Zq@h/db?password=Sec%2Fret9Zq", "Sec/ret9Zq", "postgres://u@h/db"},
		{"postgres://u:Sec%20ret9Zq@h1,h2:5433/db?sslmode=disable", "Sec ret9Zq", "postgres://u@h1,h2:5433/db?sslmode=disable"},
		{"host=h user=u password=Sec/ret9Zq dbname=d", "Sec/ret9Zq", "host=h user=u dbname=d"},
		{"host=h user=u password = Sec/ret9Zq dbname=d", "Sec/ret9Zq", "host=h user=u dbname=d"},
		{"host=h password='Sec/r et9Zq' user=u", "Sec/r et9Zq", "host=h user=u"},
		{`password='Sec/re\'t9Zq' host=h user=u`, "Sec/re't9Zq", "host=h user=u"},
		{`host=h user=u password=Sec\ re\\t9Zq`, `Sec re\t9Zq`, "host=h user=u"},
		{`dbname='x password=a' host=h user=u`, "", `dbname='x password=a' host=h user=u`},
		{"host=h user=u\tpassword\n=\nSec=ret9Zq\t", "Sec=ret9Zq", "host=h user=u"},
	} {
		config, err := pgconn.ParseConfig(tt.dsn)
		if err != nil || config.Password != tt.password {
			t.Fatalf("pgconn reads of %q: %v", tt.dsn, err)
		}
		src := fmt.Sprintf("schema: 1\nsite: x\nconnections: {postgres: {main: {dsn: %q}}}\n", tt.dsn)
		s, problems := Parse("f", []byte(src), catalogue(t), func(string) string { return "" })
		if s == nil {
			t.Fatal(tt.dsn, problems)
		}
		c, _ := s.Connection("postgres", "main")
		if c.DSN != tt.rest || c.Password.Reveal() != tt.password || (len(problems) == 1) != (tt.password != "") {
			t.Errorf("%q became %q, problems %v", tt.dsn, c.DSN, problems)
		}
		if secrets := s.Secrets(); tt.password != "" && !strings.Contains(strings.Join(secrets, "\n"), tt.password) {
			t.Errorf("%q: secrets %q", tt.dsn, secrets)
		}
		left, err := pgconn.ParseConfig(c.DSN)
		if err != nil || left.Password != "" || left.Host != config.Host || left.User != config.User || left.Database != config.Database {
			t.Errorf("%q of %q: %v, password %q", c.DSN, tt.dsn, err, left.Password)
		}
	}
}

// TestAPassphraseInAConnectionStringIsASecret: it stays in the text, for the key.
func TestAPassphraseInAConnectionStringIsASecret(t *testing.T) {
	for _, dsn := range []string{"host=h user=u sslpassword = 'Sec/r et9Zq'", "postgres://u@h/d?sslpassword=Sec%2Fr%20et9Zq"} {
		src := fmt.Sprintf("schema: 1\nsite: x\nconnections: {postgres: {main: {dsn: %q}}}\n", dsn)
		s, problems := Parse("f", []byte(src), catalogue(t), func(string) string { return "" })
		if s == nil {
			t.Fatal(problems)
		}
		if c, _ := s.Connection("postgres", "main"); c.DSN != dsn || len(s.Secrets()) != 1 || s.Secrets()[0] != "Sec/r et9Zq" {
			t.Errorf("%q became %q, secrets %q", dsn, c.DSN, s.Secrets())
		}
	}
}
