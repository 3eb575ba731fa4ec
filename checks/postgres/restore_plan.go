package postgres

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A restorePlan is a restore that is about to be tried, with everything looked
// at that could speak against it. The preview and the deed make the same one.
type restorePlan struct {
	connection string
	server     *Server
	verify     host
	scratch    string // name of the database
	leftovers  []scratchDatabase
	unmarked   []string       // databases with a scratch's name and without its comment
	owned      []string       // other databases of the role's
	template   string         // database that the copy is made of; "": template0
	installed  []string       // extensions of the template
	over       map[string]int // statements of the dump that are passed over
	dump       *dumpFile
	program    Program
	free       int64 // bytes on the server's disk; -1: not to be seen from here

	minTables  int
	minRows    map[string]float64
	newest     string
	source     string
	tolerance  float64
	extensions []string
	keep       bool
}

// host is what the plan must know of the server that gets the copy.
type host struct {
	Version       int
	Identifier    string
	Recovery      bool
	User, Session string // they differ after SET ROLE
	Create        bool
	Data          string // data directory, if the role may know it
}

const hostSQL = `
SELECT current_setting('server_version_num')::int, (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(),
       rolname::text, session_user::text, rolcreatedb OR rolsuper,
       coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'), '')
FROM pg_roles WHERE rolname = current_user`

// verifyConnection is the connection that gets the copy; never main unless the
// runbook says so.
func verifyConnection(env checks.Env) string { return cmp.Or(env.Connection, "verify") }

func planRestore(ctx context.Context, env checks.Env, args checks.Args) (*restorePlan, error) {
	p := &restorePlan{
		connection: verifyConnection(env), scratch: scratchName(env.Token, args.Text("database")),
		minTables: args.Int("min_tables"), minRows: numbers(args.Map("min_rows")), newest: args.Text("newest"),
		source: args.Text("source"), tolerance: args.Number("tolerance"), extensions: args.Texts("extensions"), keep: args.Bool("keep_on_failure"),
	}
	var err error
	env.Connection = p.connection
	if p.server, err = server(env); err != nil {
		return nil, err
	}
	if err := p.fitHost(ctx, env); err != nil {
		return nil, err
	}
	if p.template, err = templateOf(env, args); err != nil {
		return nil, err
	}
	if err := p.fitTemplate(ctx, env); err != nil {
		return nil, err
	}
	if p.dump, err = openDump(env, args); err != nil {
		return nil, err
	}
	p.dump.leave = p.extensions
	if err := p.fitDump(ctx, env); err != nil {
		p.dump.close()
		return nil, err
	}
	return p, nil
}

// fitHost refuses a server that must not get the copy, or cannot.
func (p *restorePlan) fitHost(ctx context.Context, env checks.Env) error {
	if i := slices.IndexFunc(env.Site.Connections, func(c checks.Connection) bool { return c.Kind == kind && c.Name == p.connection }); i >= 0 && env.Site.Connections[i].Production {
		return checks.Failed(checks.Denied, "connection %q is production in the site file: a restore test never goes there", p.connection)
	}
	var err error
	if p.verify, err = one[host](ctx, p.server, "the server for the restore test", hostSQL); err != nil {
		return err
	}
	switch {
	case p.verify.Recovery:
		return checks.Failed(checks.Denied, "%s is a standby: no database can be created there", p.server.Target())
	case !p.verify.Create:
		return checks.Failed(checks.Denied, "role %s may not create databases at %s (ALTER ROLE %s CREATEDB)", p.verify.User, p.server.Target(), p.verify.User)
	}
	if err := p.harmlessRole(ctx); err != nil {
		return err
	}
	if err := p.notProduction(ctx, env); err != nil {
		return err
	}
	all, err := p.server.scratches(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Name == p.scratch {
			return checks.Failed(checks.Other, "database %s exists already at %s", p.scratch, p.server.Target())
		}
		if d.Token() != "" && d.Token() != env.Token {
			p.leftovers = append(p.leftovers, d)
		}
		if d.Token() == "" && strings.HasPrefix(d.Name, scratchPrefix) {
			p.unmarked = append(p.unmarked, d.Name)
		} else if d.Owned && d.Token() == "" {
			p.owned = append(p.owned, d.Name)
		}
	}
	return nil
}

// notProduction compares the cluster's identifier, which no second name and no
// tunnel changes, with that of every production connection. One that does not
// serve is not the one that has just answered; one that refuses to tell could be.
func (p *restorePlan) notProduction(ctx context.Context, env checks.Env) error {
	for _, c := range env.Site.Connections {
		if c.Kind != kind || !c.Production {
			continue
		}
		env.Connection = c.Name
		production, err := server(env)
		if err != nil {
			return err
		}
		found, err := production.Source(ctx)
		switch {
		case err != nil && isDown(err) && !isFull(err):
		case err != nil:
			return fmt.Errorf("whether %q is the same server as %q cannot be told: %w", p.connection, c.Name, err)
		case found.Identifier == p.verify.Identifier:
			return checks.Failed(checks.Denied, "connection %q leads to the same server as %q, which is production (system identifier %s)", p.connection, c.Name, found.Identifier)
		}
	}
	return nil
}

// fitDump finds the program for the dump and room for the copy.
func (p *restorePlan) fitDump(ctx context.Context, env checks.Env) error {
	name := "pg_restore"
	if p.dump.format == plainDump {
		name = "psql"
	}
	var err error
	if p.program, err = FindProgram(ctx, env.Exec, name, p.verify.Version/10000); err != nil {
		return err
	}
	p.free = p.freeSpace()
	if need := 3 * p.dump.size; p.free >= 0 && p.free < need {
		return checks.Failed(checks.Limit, "%s has %s free, and a restore wants three times the dump, %s", p.verify.Data, fact.FormatBytes(float64(p.free)), fact.FormatBytes(float64(need)))
	}
	return nil
}

// freeSpace is what the server's disk has left, if it is a disk of this host.
func (p *restorePlan) freeSpace() int64 {
	address := p.server.config.Host
	local := strings.HasPrefix(address, "/") || address == "localhost"
	if ip := net.ParseIP(address); ip != nil {
		local = ip.IsLoopback()
	}
	var at unix.Statfs_t
	if !local || p.verify.Data == "" || unix.Statfs(p.verify.Data, &at) != nil {
		return -1
	}
	return int64(at.Bavail) * at.Bsize
}

// scan reads the whole dump as psql would and refuses what does more than fill
// a database. What is wrong with it otherwise is the finding of the test.
func (p *restorePlan) scan(ctx context.Context, env checks.Env) (dumpFindings, error) {
	env.Printf("reading %s", p.dump.path)
	found, err := p.dump.scan(ctx, env, p.program)
	if err != nil {
		return found, fmt.Errorf("reading %s: %w", p.dump.path, err)
	}
	if len(found.hits) > 0 {
		lines := make([]string, 0, 3)
		for _, h := range found.hits[:min(3, len(found.hits))] {
			lines = append(lines, h.String())
		}
		return found, checks.Failed(checks.Denied, "%s does more than fill a database and is not restored: %s", p.dump.path, strings.Join(lines, "; "))
	}
	p.over = found.over
	return found, p.extensionsThere(ctx, found)
}
