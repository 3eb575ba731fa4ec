package postgres

import (
	"context"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
)

// onlyWhenFull is the connection of the site file that exists for this case.
func onlyWhenFull(env checks.Env) (*Server, bool) {
	for _, c := range env.Site.Connections {
		if c.Kind != kind || c.Use != "only-when-full" {
			continue
		}
		env.Connection = c.Name
		s, err := server(env)
		return s, err == nil
	}
	return nil, false
}

// A detour is a look over the emergency connection; the zero value is none.
type detour struct {
	over  string // the connection
	cause error  // why the site's own connection was refused
}

// lines tell of it: they belong into every result that was found that way.
func (d detour) lines() []string {
	if d.cause == nil {
		return nil
	}
	return []string{"looked through the connection " + d.over + ", which is used only when full: " + d.cause.Error()}
}

// lookAnyway looks over the connection and, only if the server refuses it a
// session for want of slots (53300, whichever of its four causes), over the
// site's emergency connection, whose session is ended again.
func lookAnyway[T any](ctx context.Context, env checks.Env, s *Server, look func(context.Context, *Server) (T, error)) (T, detour, error) {
	seen, err := look(ctx, s)
	if !hasCode(err, tooManyConnections) {
		return seen, detour{}, err
	}
	emergency, ok := onlyWhenFull(env)
	if !ok {
		return seen, detour{}, err
	}
	seen, second := look(ctx, emergency)
	emergency.release(ctx)
	if second != nil {
		return seen, detour{}, fmt.Errorf("%w; the emergency connection did not help: %w", err, second)
	}
	return seen, detour{emergency.name, err}, nil
}
