package clean_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// TestSecretsOfEveryCommonShapeGo: nobody has to name them first.
func TestSecretsOfEveryCommonShapeGo(t *testing.T) {
	const s = "hunter22xN"
	r := clean.NewRedactor()
	for _, text := range []string{
		"DB_PASSWORD=" + s, "POSTGRES_PASSWORD=" + s, "MYSQL_ROOT_PASSWORD=" + s + " next", "db_password: " + s, "dbPassword=" + s, "passPhrase=" + s,
		"JWT_SECRET=" + s, "AWS_SECRET_ACCESS_KEY=" + s, "access_token=" + s, "refresh_token: " + s, "token=" + s, `{"apiKey":"` + s + `"}`,
		"Cookie: session=" + s, "Set-Cookie: sid=" + s + "; Path=/", "Authorization: ApiKey " + s, "authorization: Bearer " + s, "Authorization: " + s,
		"mysqldump --password " + s, "tool --api-key " + s, "CREATE USER x IDENTIFIED BY '" + s + "'", "ALTER ROLE x PASSWORD '" + s + "'",
		"https://" + s + "@host/path", "redis://:p@ss" + s + "@host/0", `password="abc\"def ` + s + `"`, "PGPASSWORD=" + s + " psql", "private_key = " + s,
	} {
		if got := r.Redact(text); strings.Contains(got, s) || !strings.Contains(got, clean.Redacted) {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{
		"postgres://opsdeck_monitor@localhost/lms", "tokens 12 of 40", "the key is in the door", "no password is needed", "keyboard: qwerty", "a secretary wrote it",
		"https://example.com/a@b", "12 cookies", "passed in 3 ms",
	} {
		if got := r.Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestSecretsAreAddedWhileOthersRedact: a site file is read again while checks
// run.
func TestSecretsAreAddedWhileOthersRedact(t *testing.T) {
	r := clean.NewRedactor("first-secret")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if got := r.Redact("first-secret and more"); strings.Contains(got, "first-secret") {
					t.Errorf("%q", got)
				}
			}
		})
	}
	for i := range 200 {
		r.Add(strings.Repeat("z", 6+i%7) + "-secret")
	}
	all.Wait()
}
