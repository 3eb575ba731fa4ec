package postgres

import (
	_ "embed" // the shipped queries
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks"
)

//go:embed queries.yaml
var shippedYAML []byte

// A shippedQuery is one that a site need not write: it asks the guide's schema.
type shippedQuery struct {
	Name, Doc, SQL, Unit string
	Args                 []string
}

// shipped are the queries that come with opsdeck, by name.
var shipped = sync.OnceValues(func() (map[string]shippedQuery, error) {
	var file struct {
		Version int
		Queries []shippedQuery
	}
	if err := yaml.UnmarshalWithOptions(shippedYAML, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("reading the shipped queries: %w", err)
	}
	byName := map[string]shippedQuery{}
	for _, q := range file.Queries {
		byName[q.Name] = q
	}
	return byName, nil
})

// shippedNames are those of queries.yaml, which a test holds to them.
var shippedNames = []string{
	"active_users", "active_users_day", "admins", "admins_idle", "completions", "courses_per_month", "enrollments", "enrollments_per_month",
	"failed_login_accounts", "failed_logins", "failed_logins_spread", "permission_changes", "quiz_attempts", "registrations", "users_per_month",
}

// zoneArg stands for the site's time zone among a shipped query's values.
const zoneArg = "@zone"

// queryNamed is the site's query of that name, or the shipped one.
func queryNamed(env checks.Env, name string) (q checks.Query, isShipped bool, err error) {
	if q, ok := env.Site.Queries[name]; ok {
		return q, false, nil
	}
	all, err := shipped()
	if err != nil {
		return q, false, err
	}
	s, ok := all[name]
	if !ok {
		return q, false, checks.NotHere{What: fmt.Sprintf("no query %q in the site file", name)}
	}
	q = checks.Query{Name: name, SQL: s.SQL, Unit: s.Unit, Origin: "shipped"}
	for _, arg := range s.Args {
		if arg == zoneArg {
			arg = zoneName(env)
		}
		q.Args = append(q.Args, arg)
	}
	return q, true, nil
}

func zoneName(env checks.Env) string {
	if env.Site.Zone == nil || env.Site.Zone.String() == "Local" {
		return "UTC"
	}
	return env.Site.Zone.String()
}

// SQLSTATEs of a statement that asks for what the database does not have.
const (
	undefinedTable  = "42P01"
	undefinedColumn = "42703"
)

// foreignSchema turns the error of a shipped query that does not fit the site's
// tables into what it is: a question that was never meant for them.
func foreignSchema(q checks.Query, err error) error {
	if !hasCode(err, undefinedTable) && !hasCode(err, undefinedColumn) {
		return err
	}
	return checks.NotHere{What: fmt.Sprintf("the shipped query %s does not fit this database (%v): write one of that name under queries", q.Name, err)}
}
