package checks

// Certbot is the section "certbot" of the site file: where certbot keeps what
// it knows, and where its certificates are served. A site without the section
// has no certbot, whatever the host has.
type Certbot struct {
	Config string              // --config-dir, absolute; "" means /etc/letsencrypt
	Work   string              // --work-dir, absolute; "" means /var/lib/letsencrypt
	Logs   string              // --logs-dir, absolute; "" means /var/log/letsencrypt
	CA     string              // file of authorities in PEM by which the ACME server is known, absolute; "" means certbot's own
	Served map[string][]string // by name of the certificate: targets as tls.expiry takes them; an empty list means nowhere that could be asked
	Origin string              // "" if there is no such section
}
