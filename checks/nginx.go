package checks

import "net/netip"

// Nginx is the section "nginx" of the site file. Its zero value means the
// defaults: the log source "nginx" in the format "combined".
type Nginx struct {
	Log     string         // log source under "logs"; "" means nginx
	Format  string         // log_format as nginx.conf has it, "combined", or "json" with nginx's names; "" means combined
	Latency string         // variable with the request's time; "" means request_time
	RealIP  string         // variable with the forwarded addresses; "" means http_x_forwarded_for
	Trusted []netip.Prefix // proxies whose word on the client's address is taken
	Admin   []string       // paths that only admins use; none means /admin
	Routes  []string       // known paths in which a weak word such as "sql" says nothing
	Status  string         // URL of stub_status; "" means there is none
	Config  string         // nginx.conf, absolute; "" means there is no configuration to test
	Prefix  string         // nginx -p, absolute; "" means as it was built
	Binary  string         // "" means nginx from the system's folders
	Origin  string         // "" if there is no such section
}
