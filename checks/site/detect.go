package site

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// detectTime is the longest that all of detection may take; what has not
// answered by then is taken for not there.
const detectTime = 300 * time.Millisecond

// A Host is where detection looks. The zero value is nothing; see ThisHost.
type Host struct {
	Root string // "/" or a fixture
	Env  func(string) string
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ThisHost is the machine that opsdeck runs on.
func ThisHost(env func(string) string) Host {
	var d net.Dialer
	return Host{Root: "/", Env: env, Dial: d.DialContext}
}

// Detect makes a site of what the host has, without a file. It only looks: it
// opens sockets to see whether anybody listens, sends nothing, and reads
// directories. It never fails; what it cannot see is not there.
func Detect(ctx context.Context, h Host, reg *checks.Registry) *Site {
	ctx, cancel := context.WithTimeout(ctx, detectTime)
	defer cancel()
	s := &Site{
		Name: h.name(), Detected: true, Zone: time.Local, Vars: map[string]string{}, Queries: map[string]checks.Query{},
		Notify: map[string]checks.Notify{}, Commands: map[string]checks.Command{}, limits: map[string]limit{},
		Retention: Retention{DefaultRetention, DefaultRetention},
	}
	found := make(chan []checks.Connection, 3)
	for _, probe := range []func(context.Context) []checks.Connection{h.postgres, h.redis, h.docker} {
		go func() { defer crash.Recover(); found <- probe(ctx) }()
	}
	s.Logs, s.Backups = h.logs(), h.backups()
	if config := "/etc/nginx/nginx.conf"; len(h.glob(config)) > 0 {
		s.Nginx = checks.Nginx{Config: config, Origin: "detected"}
	}
	s.Certbot = h.certbot()
	for range cap(found) {
		s.Connections = append(s.Connections, <-found...)
	}
	slices.SortFunc(s.Connections, func(a, b checks.Connection) int { return strings.Compare(a.Kind, b.Kind) })
	s.Services = h.services(s, reg)
	return s
}

func (h Host) name() string {
	raw, err := hostfs.Read(filepath.Join(h.Root, "etc/hostname"), 4<<10)
	if name := strings.TrimSpace(string(raw)); err == nil && name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "this-host"
	}
	return name
}

// listens reports whether anybody accepts connections there.
func (h Host) listens(ctx context.Context, network, address string) bool {
	conn, err := h.Dial(ctx, network, address)
	if err != nil {
		return false
	}
	conn.Close() //nolint:errcheck // nothing was sent
	return true
}

// postgres finds the server that PG* names, else a local socket, else the
// usual port.
func (h Host) postgres(ctx context.Context) []checks.Connection {
	host, port := h.Env("PGHOST"), h.Env("PGPORT")
	if port == "" {
		port = "5432"
	}
	candidates := []string{"/var/run/postgresql", "/tmp", "127.0.0.1"}
	if host != "" {
		candidates = []string{host}
	}
	for _, c := range candidates {
		network, address := "tcp", net.JoinHostPort(c, port)
		if strings.HasPrefix(c, "/") {
			network, address = "unix", filepath.Join(h.Root, c, ".s.PGSQL."+port)
		}
		if h.listens(ctx, network, address) {
			return []checks.Connection{{Kind: "postgres", Name: "main", DSN: h.dsn(c, port), Password: checks.NewSecret(h.Env("PGPASSWORD")), Origin: "detected"}}
		}
	}
	return nil
}

func (h Host) dsn(host, port string) string {
	dsn := "host=" + dsnValue(host) + " port=" + dsnValue(port)
	if user := h.Env("PGUSER"); user != "" {
		dsn += " user=" + dsnValue(user)
	}
	return dsn + " dbname=" + dsnValue(cmp.Or(h.Env("PGDATABASE"), "postgres"))
}

// dsnValue is a value of a DSN of keywords: what is not plain stands in quotes, so
// that no value adds a keyword of its own.
func dsnValue(value string) string {
	if plainValue.MatchString(value) {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_./:@-]+$`)

func (h Host) redis(ctx context.Context) []checks.Connection {
	for _, c := range []struct{ network, address, url string }{
		{"unix", "/var/run/redis/redis-server.sock", "unix:///var/run/redis/redis-server.sock"},
		{"unix", "/var/run/redis/redis.sock", "unix:///var/run/redis/redis.sock"},
		{"tcp", "127.0.0.1:6379", "127.0.0.1:6379"},
	} {
		address := c.address
		if c.network == "unix" {
			address = filepath.Join(h.Root, address)
		}
		if h.listens(ctx, c.network, address) {
			return []checks.Connection{{Kind: "redis", Name: "main", Address: c.url, Origin: "detected"}}
		}
	}
	return nil
}

func (h Host) docker(ctx context.Context) []checks.Connection {
	const socket = "/var/run/docker.sock"
	if !h.listens(ctx, "unix", filepath.Join(h.Root, socket)) {
		return nil
	}
	return []checks.Connection{{Kind: "docker", Name: "main", Host: "unix://" + socket, Origin: "detected"}}
}

// logPlaces are where logs usually are, by the name the runbooks use.
var logPlaces = []struct{ name, glob, format string }{
	{"nginx", "/var/log/nginx/access.log", "combined"},
	{"postgres", "/var/log/postgresql/postgresql-*-main.log", ""},
	{"syslog", "/var/log/syslog", ""},
}

func (h Host) logs() map[string]checks.LogSource {
	found := map[string]checks.LogSource{}
	for _, place := range logPlaces {
		if len(h.glob(place.glob)) > 0 {
			found[place.name] = checks.LogSource{Name: place.name, Paths: []string{place.glob}, Format: place.format, Zone: time.Local, Origin: "detected"}
		}
	}
	return found
}

// glob looks for a pattern below the host's root; a pattern that is ours is
// never malformed.
func (h Host) glob(pattern string) []string {
	paths, _ := filepath.Glob(filepath.Join(h.Root, pattern))
	return paths
}

// dumpName is what a dated database dump looks like; the group is what comes
// before the date.
var dumpName = regexp.MustCompile(`^(.*?)[-_.]?\d{4}-?\d{2}-?\d{2}.*\.(sql|dump|sql\.gz|dump\.gz|tar\.gz)$`)

// backups are the series of dated dumps, each a set of its own: a folder that
// holds those of a database and those of its media has two.
func (h Host) backups() map[string]checks.BackupSet {
	found := map[string]checks.BackupSet{}
	for _, dir := range append(h.glob("/var/backups/*"), h.glob("/backup")...) {
		globs := series(dir)
		for i, glob := range globs {
			name := filepath.Base(dir)
			if len(globs) > 1 {
				name = fmt.Sprintf("%s-%d", name, i+1)
			}
			real := "/" + strings.TrimPrefix(strings.TrimPrefix(dir, h.Root), "/")
			found[name] = checks.BackupSet{Name: name, Dir: real, Glob: glob, Origin: "detected"}
		}
	}
	return found
}

// mostEntries and mostSeries bound what detection looks at in one folder.
const (
	mostEntries = 5000
	mostSeries  = 8
)

func series(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, err := d.ReadDir(mostEntries)
	if err != nil {
		return nil // a file, or none of ours
	}
	var globs []string
	for _, e := range entries {
		m := dumpName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		if glob := m[1] + "*." + m[2]; !slices.Contains(globs, glob) {
			globs = append(globs, glob)
		}
	}
	slices.Sort(globs)
	return globs[:min(len(globs), mostSeries)]
}

// services: a certificate check for the names that certbot keeps here.
func (h Host) services(s *Site, reg *checks.Registry) []checks.Check {
	var targets []string
	for _, dir := range h.glob("/etc/letsencrypt/live/*") {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			targets = append(targets, names(dir)...)
		}
	}
	m, ok := reg.Lookup("tls.expiry")
	if !ok || len(targets) == 0 {
		return nil
	}
	c, problems := checks.NewCheck(m, "cert", map[string]any{"targets": targets}, checks.Rules{})
	if len(problems) > 0 {
		return nil // a directory with a name no certificate can have
	}
	c.Every, c.Origin = time.Hour, "detected"
	return []checks.Check{c}
}

// names are the hosts that a lineage of certbot is for: those in its
// certificate, or the folder's name if that may not be read. A wildcard names no
// host that could be asked.
func names(dir string) []string {
	fallback := []string{filepath.Base(dir) + ":443"}
	raw, err := read(filepath.Join(dir, "cert.pem"))
	if err != nil {
		return fallback
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return fallback
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fallback
	}
	var hosts []string
	for _, name := range cert.DNSNames {
		if !strings.HasPrefix(name, "*") {
			hosts = append(hosts, name+":443")
		}
	}
	if len(hosts) == 0 {
		return fallback
	}
	return hosts
}
