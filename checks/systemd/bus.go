package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

// A bus is a connection to systemd over D-Bus. It ends with its context.
type bus struct{ conn *dbus.Conn }

// openBus connects to the bus at a socket.
func openBus(ctx context.Context, socket string) (*bus, error) {
	if _, err := os.Stat(socket); err != nil {
		return nil, fmt.Errorf("looking for systemd's bus: %w", err)
	}
	conn, err := dbus.NewConnection(func() (*godbus.Conn, error) {
		conn, err := godbus.Dial("unix:path="+godbus.EscapeBusAddressValue(socket), godbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		// The id and not the name: that would need the user database.
		err = conn.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
		if err == nil {
			err = conn.Hello()
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting to systemd's bus: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd's bus: %w", busError(err))
	}
	return &bus{conn}, nil
}

func (b *bus) close() { b.conn.Close() }

func (b *bus) properties(ctx context.Context, unit string) (properties, error) {
	raw, err := b.conn.GetAllPropertiesContext(ctx, unit)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, busError(err)
	}
	p := properties{}
	for _, name := range wanting(unit) {
		if value, there := raw[name]; there {
			p[name] = plain(name, value)
		}
	}
	return p, nil
}

// plain is a value of D-Bus in the type that properties have; one that has
// none is left as it is, and refused by whoever reads it.
func plain(name string, value any) any {
	switch v := value.(type) {
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case []byte:
		return hex.EncodeToString(v)
	case [][]any: // ExecStart: path, argv, …
		if name == "ExecStart" && len(v) > 0 && len(v[0]) > 1 {
			return v[0][1]
		}
		return []string{}
	}
	return value
}

func (b *bus) reload(ctx context.Context, unit string) (string, error) {
	ended := make(chan string, 1)
	if _, err := b.conn.ReloadUnitContext(ctx, unit, "replace", ended); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", busError(err)
	}
	select {
	case how := <-ended:
		return how, nil
	case <-ctx.Done():
		return "", fmt.Errorf("the reload was begun and did not end: %w", ctx.Err())
	}
}

// busError gives a refusal over D-Bus its class.
func busError(err error) error {
	var refused godbus.Error
	if !errors.As(err, &refused) {
		var refusedAt *godbus.Error
		if !errors.As(err, &refusedAt) {
			return err
		}
		refused = *refusedAt
	}
	class := checks.Other
	switch strings.TrimPrefix(refused.Name, "org.freedesktop.DBus.Error.") {
	case "AccessDenied", "AuthFailed", "InteractiveAuthorizationRequired":
		class = checks.Denied
	case "NoReply", "Timeout", "TimedOut":
		class = checks.Timeout
	case "ServiceUnknown", "NameHasNoOwner":
		class = checks.Missing
	}
	return checks.Failed(class, "systemd refuses: %w", err)
}
