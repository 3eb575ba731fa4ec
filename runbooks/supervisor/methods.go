package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// methods are what a client can do at a run that it has opened. Each is a
// method of runbooks.Seat; the kernel says whose. It is never written to.
var methods = map[string]func(context.Context, runbooks.Seat, deed) (any, error){
	"start":     func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Start(d.Item) },
	"start-all": func(_ context.Context, s runbooks.Seat, _ deed) (any, error) { return nil, s.StartAll() },
	"confirm": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Confirm(d.Item, d.Evidence)
	},
	"decide": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Decide(d.Item, d.Text) },
	"skip": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Skip(d.Item, d.Text, d.Until)
	},
	"acknowledge": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Acknowledge(d.Item, d.Text)
	},
	"override": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Override(d.Item, d.Text, d.Until)
	},
	"note": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Note(d.Item, d.Text) },
	"attach": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		if d.Frame == nil {
			return nil, errors.New("there is no frame to attach")
		}
		return nil, s.Attach(d.Item, *d.Frame)
	},
	"retry": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Retry(d.Item) },
	"sign": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Sign(d.Item, d.Text, d.Seen)
	},
	"arm": func(ctx context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Arm(ctx, d.Item) },
	"approve": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Approve(d.Item, d.Text, d.Seen)
	},
	"disarm": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Disarm(d.Item, d.Text) },
	"cancel": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Cancel(d.Item, d.Text) },
	"probe":  func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Probe(d.Item) },
	"resolve": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.Resolve(d.Item, d.Done, d.Text)
	},
	"live": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return s.Live(d.Item, d.From) },
	"window": func(_ context.Context, s runbooks.Seat, d deed) (any, error) {
		return nil, s.OverrideWindow(d.Text, d.Until)
	},
	"take-over": func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.TakeOver(d.Text) },
	"finish":    func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Finish(d.Text) },
	"abort":     func(_ context.Context, s runbooks.Seat, d deed) (any, error) { return nil, s.Abort(d.Text) },
}

// do calls a method; a panic in it is an answer, and the supervisor lives on.
func do(ctx context.Context, method string, s runbooks.Seat, d deed) (result any, err error) {
	call, ok := methods[method]
	if !ok {
		return nil, fmt.Errorf("this supervisor does not know %q: end it and start the newer one", method)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s failed inside opsdeck: %v", method, p)
		}
	}()
	return call(ctx, s, d)
}
