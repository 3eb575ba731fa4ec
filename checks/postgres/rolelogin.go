package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
)

const wrongPassword = "28P01"

// methodAsked is in pgx's error when a server asks in another way to log in
// than it may, before anything was sent.
const (
	methodRefused = "authentication method requirement"
	methodAsked   = "server requested "
)

// loginConfig is how a role logs in: as the site file says, or where this
// connection does.
func (s *Server) loginConfig(k checks.KeptSecret, password string) (*pgx.ConnConfig, error) {
	config := s.config.Copy()
	if k.Login != "" {
		var err error
		if config, err = pgx.ParseConfig(k.Login); err != nil {
			return nil, checks.Failed(checks.Unconfigured, "secret %s: login is not a connection string", k.Name)
		}
	}
	config.User, config.Password = k.Role, password
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams = map[string]string{"application_name": applicationName()}
	return config, nil
}

// asksFor is how the server wants a role to log in: "scram-sha-256", "md5",
// "password", or "none" if it lets it in without. No password is sent.
func (s *Server) asksFor(ctx context.Context, k checks.KeptSecret) (string, error) {
	config, err := s.loginConfig(k, "")
	if err != nil {
		return "", err
	}
	config.RequireAuth = "none"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		hangUp(conn)
		return "none", nil
	}
	if text := err.Error(); strings.Contains(text, methodRefused) {
		_, after, _ := strings.Cut(text, methodAsked)
		method, _, _ := strings.Cut(after, " ")
		return method, nil
	}
	return "", s.loginError(ctx, k, err)
}

// logsIn reports whether a role gets in with a password. The password is
// proven by SCRAM and is not sent; a server that asks for it otherwise does not
// get it.
func (s *Server) logsIn(ctx context.Context, k checks.KeptSecret, password checks.Secret) (bool, error) {
	config, err := s.loginConfig(k, password.Reveal())
	if err != nil {
		return false, err
	}
	config.RequireAuth = "scram-sha-256"
	conn, err := pgx.ConnectConfig(ctx, config)
	switch {
	case err == nil:
		hangUp(conn)
		return true, nil
	case hasCode(err, wrongPassword):
		return false, nil
	case hasCode(err, denied), hasCode(err, noSuchDatabase): // said after the password was proven
		return true, nil
	}
	return false, s.loginError(ctx, k, err)
}

// loginError explains an attempt that says nothing of the password.
func (s *Server) loginError(ctx context.Context, k checks.KeptSecret, err error) error {
	var said *pgconn.PgError
	switch {
	case errors.As(err, &said):
		return checks.Failed(checks.Auth, "logging in as %s to see which password works: %s (%s)", k.Role, oneLine(said.Message), said.Code)
	case strings.Contains(err.Error(), methodRefused):
		return checks.Failed(checks.Auth, "logging in as %s to see which password works: the server does not ask by SCRAM from here", k.Role)
	}
	class, text := s.networkMeaning(ctx, err)
	if text == "" {
		text = "no session could be opened"
	}
	return checks.Failed(class, "logging in as %s to see which password works: %s", k.Role, text)
}
