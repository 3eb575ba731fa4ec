package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A roleState is how a server has a role, and what the acting one may do to it.
type roleState struct {
	OID                uint32
	Cluster, Me        string
	Recovery           bool
	CanLogin, Super    bool
	ValidUntil         *time.Time // nil: for ever
	MeSuper, MeCreates bool
	MeAdmin            bool
}

const roleStateSQL = `
SELECT r.oid, (SELECT system_identifier::text FROM pg_control_system()), current_user::text, pg_is_in_recovery(), r.rolcanlogin, r.rolsuper,
       CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END, me.rolsuper, me.rolcreaterole,
       EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.member = me.oid AND m.admin_option)
FROM pg_roles r, pg_roles me WHERE r.rolname = $1 AND me.rolname = current_user`

// A roleClient is who is connected as a role, by application and place.
type roleClient struct {
	Application, From string
	Sessions          int
	Oldest            time.Time
}

const roleClientsSQL = `
SELECT coalesce(application_name, ''), CASE WHEN client_addr IS NULL THEN 'this host' ELSE host(client_addr) END, count(*)::int, min(backend_start)
FROM pg_stat_activity WHERE usesysid = $1 AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`

// adminOptionSince is the version from which CREATEROLE alone is not enough to
// change another role.
const adminOptionSince = 160000

// a roleSurvey is one look at a role.
type roleSurvey struct {
	server   *Server
	settings Settings
	state    roleState
	clients  []roleClient
}

func surveyRole(ctx context.Context, env checks.Env, role string) (*roleSurvey, error) {
	s, err := actingServer(env)
	if err != nil {
		return nil, err
	}
	v := &roleSurvey{server: s}
	return v, s.readOnly(ctx, "role", func(ctx context.Context, r *reading) error {
		v.settings, _ = s.Settings()
		found, err := rows[roleState](ctx, r, roleStateSQL, role)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return checks.Failed(checks.Missing, "there is no role %q at %s", role, s.Target())
		}
		v.state = found[0]
		v.clients, err = rows[roleClient](ctx, r, roleClientsSQL, v.state.OID)
		return err
	})
}

// refuses is why the role's password cannot be set, or should not be; nil if
// it can.
func (v *roleSurvey) refuses(role string, now time.Time) error {
	st := v.state
	switch {
	case st.Recovery:
		return checks.Failed(checks.Denied, "%s is a standby: this is done on its primary", v.server.Target())
	case !st.CanLogin:
		return checks.Failed(checks.Refused, "%s may not log in at all: it needs no password", role)
	case st.ValidUntil != nil && !now.Before(*st.ValidUntil):
		return checks.Failed(checks.Refused, "%s has VALID UNTIL %s: no password lets it in", role, st.ValidUntil.Format("2006-01-02 15:04 MST"))
	case role != st.Me && !st.MeSuper && (!st.MeCreates || st.Super || v.settings.Version >= adminOptionSince && !st.MeAdmin):
		return checks.Failed(checks.Denied, "%s may not change %s: use a role that may (a connection named maintain)", st.Me, role)
	case role != st.Me && !v.settings.MaySeeOthers:
		return checks.Failed(checks.Denied, "%s may not see who is connected as %s: GRANT pg_monitor", st.Me, role)
	}
	return nil
}

// connected is a table of who is, and a line for each that nobody listed.
func (v *roleSurvey) connected(k checks.KeptSecret) (checks.Table, []string) {
	table := checks.Table{Name: "clients", Columns: []checks.Column{
		{Name: "application", Type: fact.Text}, {Name: "from", Type: fact.Text}, {Name: "sessions", Type: fact.Count}, {Name: "since", Type: fact.Time}, {Name: "listed", Type: fact.Bool},
	}}
	var careful []string
	for _, c := range v.clients {
		listed := slices.Contains(k.Clients, c.Application)
		table.Rows = append(table.Rows, []fact.Value{fact.WordValue(c.Application), fact.WordValue(c.From), fact.NumberValue(c.Sessions), fact.TimeValue(c.Oldest), fact.FlagValue(listed)})
		if !listed {
			careful = append(careful, fmt.Sprintf("careful: %q from %s is connected as %s and is not among its clients in the site file", c.Application, c.From, k.Role))
		}
	}
	return table, careful
}

func (v *roleSurvey) sessions() int {
	n := 0
	for _, c := range v.clients {
		n += c.Sessions
	}
	return n
}
