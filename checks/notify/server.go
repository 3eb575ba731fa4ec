package notify

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/advanced-lms/opsdeck/checks"
)

// policy says what keeps a mail from being read on its way.
type policy uint8

// The policies; none is chosen by what a server offers, since that could be
// taken out of its offer.
const (
	startTLS policy = iota // STARTTLS or nothing is sent
	wholeTLS               // TLS from the first byte: smtps
	noTLS                  // on this host, or because the site file says so
)

// A server is a mail server of the site file.
type server struct {
	host, port string
	policy     policy
	ca         string // file of authorities besides the system's
	user       string
	password   checks.Secret
}

// parseServer reads smtp://host:587?tls=none&ca=/path or smtps://host:465.
// Without a port it is 587 or 465. A server on this host is not asked for TLS
// unless tls=starttls says so.
func parseServer(entry checks.Notify) (*server, error) {
	u, err := url.Parse(entry.SMTP)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("its smtp is not smtp://host:port or smtps://host:port")
	}
	s := &server{host: u.Hostname(), port: u.Port(), ca: u.Query().Get("ca"), user: entry.User, password: entry.Password}
	choice := u.Query().Get("tls")
	switch {
	case u.Scheme == "smtps" && choice == "":
		s.policy = wholeTLS
	case u.Scheme == "smtps":
		return nil, errors.New("smtps is always TLS")
	case choice == "none", choice == "" && loopback(s.host):
		s.policy = noTLS
	case choice != "" && choice != "starttls":
		return nil, fmt.Errorf("tls=%s is neither none nor starttls", choice)
	}
	switch {
	case s.port != "":
	case s.policy == wholeTLS:
		s.port = "465"
	default:
		s.port = "587"
	}
	if s.policy == noTLS && s.user != "" && !loopback(s.host) {
		return nil, errors.New("a password is not sent without TLS")
	}
	return s, nil
}

func (s *server) address() string { return net.JoinHostPort(s.host, s.port) }

// loopback reports whether what is sent to the host does not leave this one.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
