package web

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// checkURL accepts http and https with a host.
func checkURL(value any) error {
	text, _ := value.(string)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) || u.Port() != "" && !isPort(u.Port()) {
		return fmt.Errorf("%q is not a URL, expected http://host/path or https://host/path", text)
	}
	return nil
}

// checkAddresses accepts one or more of host:port.
func checkAddresses(value any) error {
	addresses, _ := value.([]string)
	if len(addresses) == 0 {
		return errors.New("no targets")
	}
	for _, a := range addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress accepts host:port with a number as port.
func checkAddress(value any) error {
	text, _ := value.(string)
	if host, port, err := net.SplitHostPort(text); err != nil || !isHost(host) || !isPort(port) {
		return fmt.Errorf("%q is not an address, expected host:port with a port from 1 to 65535", text)
	}
	return nil
}

// isHost accepts a name or an address; only an address may have colons.
func isHost(text string) bool {
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("/@[]{}", r)
	}
	if text == "" || strings.ContainsFunc(text, odd) {
		return false
	}
	_, err := netip.ParseAddr(text)
	return err == nil || !strings.Contains(text, ":")
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}
