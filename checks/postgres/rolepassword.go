package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/secret"
)

// RolePassword gives a role the password that was made for it.
var RolePassword = module(checks.Module{
	Name: "pg.role_password",
	Doc: "Gives a PostgreSQL role the new password of a secret: only a SCRAM verifier is sent, so that the password is in no log, no statistics and no history; " +
		"a login with the new one has to work afterwards and one with the old must not",
	Effect: checks.Reversible, Danger: 3, Repeatable: true,
	Crash: "the role has the old password or the new one, whole; a login tells which" + givesUpSaid,
	Params: []checks.Param{
		{Name: "name", Type: checks.TextParam, Required: true, Names: "secrets", Doc: "secret of the site file that names a role", Example: "database"},
		{Name: "value", Type: checks.TextParam, Default: "new", OneOf: []string{"new", "current"}, Doc: "new: what was made for it; current: what the environment file has, which is the way back until that file has the new one"},
	},
	Facts: []fact.Spec{
		{Name: "login", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "the role gets in with the value that was to be set"},
		{Name: "old_refused", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "it does not with the other one; absent if there is none or it is the same"},
		{Name: "sessions", Type: fact.Count, Unit: "sessions", Doc: "that are open as the role: they stay, and whoever opens the next one needs the new password"},
		{Name: "unlisted", Type: fact.Count, Unit: "clients", Worse: fact.Higher, Optional: true, Doc: "of a preview: clients that are connected and not listed in the site file"},
		{Name: "role_oid", Type: fact.Count, Optional: true, Doc: "the role's object id"},
		{Name: "identity", Type: fact.Text, Optional: true, Doc: "device, inode, size and time of the file that the value is in"},
		checks.DoneFact,
	},
	Fail: "done == false", Source: "guide; proposed",
	Timeout: time.Minute,
	Example: "use: pg.role_password\nwith: {name: database}",
	Preview: previewRolePassword, Run: setRolePassword, Probe: probeRolePassword,
})

// passwords are those of a role: the one to be set, and the other.
type passwords struct {
	secret checks.KeptSecret
	to     secret.Value
	other  checks.Secret // zero: there is none, it is the same, or it is not known
	unread error         // why it is not known
}

func rolePasswords(env checks.Env, args checks.Args) (p passwords, err error) {
	name := args.Text("name")
	k, ok := env.Site.Secrets[name]
	switch {
	case !ok:
		return p, checks.NotHere{What: fmt.Sprintf("no secret %q under secrets in the site file", name)}
	case k.Role == "":
		return p, checks.Failed(checks.Unconfigured, "secret %s is not the password of a role (role:)", name)
	case len(k.Clients) == 0:
		return p, checks.Failed(checks.Unconfigured, "secret %s does not list the clients that log in as %s (clients:)", name, k.Role)
	}
	p.secret = k
	to, from := secret.New, secret.Current
	if args.Text("value") == "current" {
		to, from = from, to
	}
	if p.to, err = to(env, name); err != nil {
		return p, err
	}
	switch other, err := from(env, name); {
	case err == nil && other.Reveal() != p.to.Reveal():
		p.other = other.Secret
	case err != nil && checks.ClassOf(err) != checks.Missing && !errors.Is(err, fs.ErrNotExist):
		p.unread = err
	}
	_, err = scramVerifier(p.to.Reveal(), freshSalt(), 1)
	return p, err
}

// preparedRole is all that is looked at before the password is set.
func preparedRole(ctx context.Context, env checks.Env, args checks.Args) (p passwords, v *roleSurvey, method string, err error) {
	if p, err = rolePasswords(env, args); err != nil {
		return p, nil, "", err
	}
	if v, err = surveyRole(ctx, env, p.secret.Role); err != nil {
		return p, v, "", err
	}
	if err := v.refuses(p.secret.Role, v.server.now()); err != nil {
		return p, v, "", err
	}
	method, err = v.server.asksFor(ctx, p.secret)
	switch {
	case err != nil:
		return p, v, method, err
	case method == "none":
		err = checks.Failed(checks.Refused, "the server lets %s in from here without a password: whether a new one works could not be told (secrets.%s.login: the address at which its clients log in)", p.secret.Role, p.secret.Name)
	case method != "scram-sha-256" && method != "md5":
		err = checks.Failed(checks.Refused, "the server asks %s for %s, which would send the password in clear text or not use it", p.secret.Role, method)
	}
	return p, v, method, err
}

func previewRolePassword(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, v, method, err := preparedRole(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	k, st := p.secret, v.state
	f := checks.Findings{
		Target: k.Role, Fingerprint: fmt.Sprintf("%s/%d@%s %s", st.Cluster, st.OID, v.server.Target(), p.to.Identity), Locks: []string{"postgres-role:" + k.Role, "file:" + p.to.File},
		Note: fmt.Sprintf("password of %s, %d sessions of %d clients", k.Role, v.sessions(), len(v.clients)),
		Detail: []string{
			fmt.Sprintf("ALTER ROLE %s PASSWORD with a SCRAM verifier of what %s holds; the password itself is not sent", ident(k.Role), p.to.File),
			"logs in with it afterwards, and with the other one, which leaves one line about a wrong password in the server's log",
			"these have to get it: " + strings.Join(k.Clients, ", "),
		},
	}
	table, unlisted := v.connected(k)
	f.Tables = []checks.Table{table}
	f.Detail = append(f.Detail, unlisted...)
	f.Detail = append(f.Detail, "careful: sessions that are open stay; from now until the clients have it, whoever opens a new one fails, a pool and a cron script too")
	f.Detail = append(f.Detail, v.cautions(env, k, method)...)
	if p.unread != nil {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: the other password is not known, and so not whether it is refused afterwards: %v", p.unread))
	}
	f.Facts = []fact.Fact{fact.Number("sessions", v.sessions()), fact.Number("unlisted", len(unlisted)), fact.Number("role_oid", st.OID), fact.Word("identity", p.to.Identity)}
	return f, nil
}

// cautions are what else speaks against it.
func (v *roleSurvey) cautions(env checks.Env, k checks.KeptSecret, method string) []string {
	var lines []string
	if until := v.state.ValidUntil; until != nil {
		lines = append(lines, fmt.Sprintf("careful: %s has VALID UNTIL %s, which a new password does not change", k.Role, until.Format("2006-01-02 15:04 MST")))
	}
	if method == "md5" {
		lines = append(lines, "careful: its password is kept as MD5 now: a client that cannot speak SCRAM fails from then on")
	}
	if k.Role == v.state.Me {
		lines = append(lines, "careful: opsdeck itself logs in as "+k.Role+": its own password in the site file has to follow")
	}
	if !v.state.MeSuper {
		lines = append(lines, "careful: "+v.state.Me+" cannot keep the statement out of the server's log: the verifier may be in there, the password is not")
	}
	for _, c := range env.Site.Connections {
		if c.Kind == "pgbouncer" {
			lines = append(lines, "careful: pgbouncer "+c.Name+" may have a list of passwords of its own (auth_file)")
		}
	}
	return lines
}

// quiet keeps the statement out of the server's log and statistics, which only
// a superuser may; of extensions that are not there the settings mean nothing.
var quiet = map[string]string{
	"log_statement": "none", "log_min_duration_statement": "-1", "log_min_duration_sample": "-1", "log_transaction_sample_rate": "0", "log_min_error_statement": "panic",
	"pg_stat_statements.track_utility": "off", "pgaudit.log": "none",
}

func setRolePassword(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, v, _, err := preparedRole(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: p.secret.Role}
	if before, known := env.BeforeFact("role_oid", ""); known && before.Num != float64(v.state.OID) {
		return f, checks.Failed(checks.Refused, "%s is not the role of the preview any more", p.secret.Role)
	}
	if before, known := env.BeforeFact("identity", ""); known && before.Text != p.to.Identity {
		return f, checks.Failed(checks.Refused, "%s is not what the preview saw any more", p.to.File)
	}
	verifier, err := scramVerifier(p.to.Reveal(), freshSalt(), scramIterations)
	if err != nil {
		return f, err
	}
	settings := map[string]string{"lock_timeout": "5000", "statement_timeout": "10000", checkInterval: givesUp}
	if v.state.MeSuper {
		for name, value := range quiet {
			settings[name] = value
		}
	}
	err = v.server.act(ctx, deed{token: env.Token, settings: settings}, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "ALTER ROLE "+ident(p.secret.Role)+" PASSWORD "+quoteText(verifier))
		return err
	})
	if err != nil {
		return f, err
	}
	env.Printf("%s has another password", p.secret.Role)
	return probeRolePassword(ctx, env, args)
}

// probeRolePassword logs in, which is all that counts.
func probeRolePassword(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := rolePasswords(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: p.secret.Role}
	v, err := surveyRole(ctx, env, p.secret.Role)
	if err != nil {
		return f, err
	}
	works, err := v.server.logsIn(ctx, p.secret, p.to.Secret)
	if err != nil {
		return f, err
	}
	done := works
	f.Facts = []fact.Fact{fact.Flag("login", works), fact.Number("sessions", v.sessions())}
	if p.unread != nil {
		f.Detail = append(f.Detail, fmt.Sprintf("whether the other password is refused is not known: %v", p.unread))
	}
	if !p.other.IsZero() {
		stays, err := v.server.logsIn(ctx, p.secret, p.other)
		if err != nil {
			return f, err
		}
		done = works && !stays
		f.Facts = append(f.Facts, fact.Flag("old_refused", !stays))
	}
	f.Facts = append(f.Facts, fact.Flag("done", done))
	f.Note = p.secret.Role + " does not get in with it"
	if works {
		f.Note = fmt.Sprintf("%s gets in with it; %d sessions are open", p.secret.Role, v.sessions())
	}
	table, _ := v.connected(p.secret)
	f.Tables = []checks.Table{table}
	return f, nil
}
