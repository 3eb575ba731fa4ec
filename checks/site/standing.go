package site

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// standing are the checks that every site has whose kind it has, without
// being named in its file, in the order they are shown.
var standing = []string{
	"sys.cpu", "sys.mem", "sys.disk", "sys.diskio", "sys.net", "sys.psi", "sys.uptime", "sys.procs",
	"pg.ping", "pg.connections", "pg.tps", "pg.locks", "pg.slow", "pg.dbsize", "pg.tables", "pg.deadtuples",
	"pg.replication", "pg.wal", "pg.wraparound",
	"redis.memory", "redis.keys", "compose.services", "docker.stats",
}

// ondemand are the checks that a view shows and that nobody has to be told of:
// they are sampled while the view is on a screen, and cost nothing else.
var ondemand = []string{
	"pg.sessions", "pg.saturation", "pg.statements", "pg.bloat", "pg.indexes", "pg.sequences", "pg.progress", "pg.checkpoints",
	"pg.settings", "pg.log", "pg.host",
}

// Checks are all checks of the site: the standing ones, the services, then
// backups and logs, and those on demand. A standing check that the site's services already watch
// with the same module and without arguments is not listed twice.
func (s *Site) Checks(reg *checks.Registry) []checks.Check {
	var all []checks.Check
	for _, name := range standing {
		m, ok := reg.Lookup(name)
		if ok && s.has(m.Kind) && !s.watched(m) {
			all = append(all, s.standing(m, name, nil))
		}
	}
	all = append(all, s.Services...)
	for _, name := range slices.Sorted(maps.Keys(s.Backups)) {
		all = s.add(all, reg, "backup.fresh", "backup."+name, map[string]any{"set": name})
		all = s.add(all, reg, "backup.integrity", "integrity."+name, map[string]any{"set": name})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Logs)) {
		if s.Logs[name].Format != "combined" {
			all = s.add(all, reg, "log.count", "log."+name, map[string]any{"source": name})
		}
	}
	for _, name := range ondemand {
		m, ok := reg.Lookup(name)
		if ok && s.has(m.Kind) && !s.watched(m) {
			c := s.standing(m, name, nil)
			c.OnDemand = true
			all = append(all, c)
		}
	}
	return all
}

func (s *Site) add(all []checks.Check, reg *checks.Registry, module, id string, raw map[string]any) []checks.Check {
	m, ok := reg.Lookup(module)
	if !ok {
		return all
	}
	return append(all, s.standing(m, id, raw))
}

// has reports whether the site has a connection "main" of the kind.
func (s *Site) has(kind string) bool {
	if kind == "" {
		return true
	}
	_, ok := s.Connection(kind, "main")
	return ok
}

func (s *Site) watched(m *checks.Module) bool {
	return m.Kind != "" && slices.ContainsFunc(s.Services, func(c checks.Check) bool { return c.Module == m && c.Connection == "" })
}

// standing binds a module under the site's limits. Its arguments are the
// site's own names, checked when the file was read, so binding cannot fail.
func (s *Site) standing(m *checks.Module, id string, raw map[string]any) checks.Check {
	rules, params := s.Limits(m.Name)
	all := maps.Clone(params)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, raw)
	c, _ := checks.NewCheck(m, id, all, rules)
	c.Origin = s.origin(id)
	c.Needs = s.needs(m)
	c.Every = sampled[m.Name]
	return c
}

// sampled are intervals of the deck that differ from a module's own: what is
// costly to look at changes slowly.
var sampled = map[string]time.Duration{"log.count": time.Minute, "backup.integrity": 15 * time.Minute}

func (s *Site) origin(id string) string {
	if s.Path == "" {
		return "detected"
	}
	family, name, _ := strings.Cut(id, ".")
	switch family {
	case "backup", "integrity":
		return s.Backups[name].Origin
	case "log":
		return s.Logs[name].Origin
	}
	return fmt.Sprintf("%s (standing)", s.Path)
}

// needs: every check of a server is held while the server itself is away, but
// for those that look at it from outside.
func (s *Site) needs(m *checks.Module) []string {
	ping := map[string]string{"postgres": "pg.ping", "redis": "redis.ping"}[m.Kind]
	if ping == "" || m.Name == ping || m.Name == "pg.host" || m.Name == "pg.log" {
		return nil
	}
	for _, c := range s.Services {
		if c.Module.Name == ping && c.Connection == "" {
			return []string{c.ID}
		}
	}
	if ping == "pg.ping" {
		return []string{ping}
	}
	return nil
}
