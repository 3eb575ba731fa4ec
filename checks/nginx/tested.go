package nginx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Tested configuration is one that nginx would load now.
type Tested struct {
	Valid    bool     // nginx takes it
	Warnings []string // what nginx says of it, errors too
	Hash     string   // of all that nginx read; "" if it is not valid
	TLS      []TLSServer
}

// A TLSServer is a name that the configuration serves with a certificate.
type TLSServer struct {
	Name         string   // to ask for; "" if the server has none that a client could
	Network      string   // "tcp" or "unix"
	Address      string   // where this host reaches it
	Certificates []string // files; of several, which one is served depends on the client
	Unknown      string   // why what it serves cannot be foretold; "" if it can

	byDefault bool // it answers who asks for no name, or for one that nobody has
}

// Test has nginx test a configuration, as nginx -t does, and says which
// certificates it would serve. Without a Config it is the one that the binary
// was built with.
func Test(ctx context.Context, env checks.Env, of checks.Nginx) (Tested, error) {
	conf, err := dump(ctx, env, of)
	t := Tested{Valid: conf.valid, Warnings: conf.warnings}
	if err != nil || !conf.valid {
		return t, err
	}
	sum := sha256.Sum256([]byte(conf.text))
	t.Hash = hex.EncodeToString(sum[:])
	_, first, _ := strings.Cut(conf.text, "# configuration file ")
	first, _, _ = strings.Cut(first, ":\n")
	for _, h := range all(conf.main, "http") {
		for _, s := range all(h.block, "server") {
			t.TLS = append(t.TLS, tlsServers(h.block, s.block, path.Dir(first))...)
		}
	}
	t.nameless()
	return t, nil
}

// nameless marks the servers that no client could ask for: without a name, and
// not known to be the one that answers who asks for nobody.
func (t Tested) nameless() {
	at := map[string]int{}
	for _, s := range t.TLS {
		at[s.Address]++
	}
	for i, s := range t.TLS {
		if s.Name == "" && !s.byDefault && at[s.Address] > 1 && s.Unknown == "" {
			t.TLS[i].Unknown = "it has no name that could be asked for"
		}
	}
}

// tlsServers are the addresses at which a server block speaks TLS.
func tlsServers(outer, block []directive, base string) []TLSServer {
	files := all(block, "ssl_certificate")
	if len(files) == 0 {
		files = all(outer, "ssl_certificate")
	}
	server := TLSServer{Name: askable(all(block, "server_name"))}
	for _, d := range files {
		if len(d.args) == 0 {
			continue
		}
		file := d.args[0]
		switch {
		case strings.Contains(file, "$") || strings.HasPrefix(file, "data:") || strings.HasPrefix(file, "engine:"):
			server.Unknown = "its certificate depends on the request: " + file
		case !path.IsAbs(file):
			file = path.Join(base, file)
		}
		server.Certificates = append(server.Certificates, file)
	}
	always := last(block, "ssl", last(outer, "ssl", "off")) == "on"
	var found []TLSServer
	for _, l := range all(block, "listen") {
		if len(l.args) == 0 || contains(l.args, "quic") || !always && !contains(l.args, "ssl") {
			continue
		}
		at := server
		at.Network, at.Address = reachable(l.args[0])
		at.byDefault = contains(l.args, "default_server")
		switch {
		case contains(l.args, "proxy_protocol"):
			at.Unknown = "it is reached through a proxy alone (proxy_protocol)"
		case len(files) == 0:
			at.Unknown = "it has no ssl_certificate"
		}
		if !slices.ContainsFunc(found, func(f TLSServer) bool { return f.Address == at.Address }) {
			found = append(found, at)
		}
	}
	return found
}

// askable is the first name that a client could ask for. A wildcard stands for
// one of its own; a regular expression for none that could be made up.
func askable(names []directive) string {
	for _, d := range names {
		for _, name := range d.args {
			switch {
			case name == "" || name == "_" || strings.HasPrefix(name, "~") || strings.HasSuffix(name, ".*") || strings.Contains(name, "$"):
			case strings.HasPrefix(name, "*."):
				return "www" + name[1:]
			case strings.HasPrefix(name, "."):
				return name[1:]
			default:
				return name
			}
		}
	}
	return ""
}

// reachable is where this host reaches what listens there.
func reachable(listen string) (network, address string) {
	if file, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", file
	}
	host, port, err := net.SplitHostPort(listen)
	switch {
	case err == nil:
	case strings.Trim(listen, "0123456789") == "":
		host, port = "*", listen
	default:
		host, port = strings.Trim(listen, "[]"), "80"
	}
	switch host {
	case "*", "0.0.0.0", "":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "tcp", net.JoinHostPort(host, port)
}
