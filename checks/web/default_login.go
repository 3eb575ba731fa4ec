package web

import (
	"context"
	"net/http"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DefaultLogin tries the one login that everybody knows. It asks for a page
// that needs a login, first without one: a page that is open to all would
// otherwise be taken for a login that works.
var DefaultLogin = module(checks.Module{
	Name:  "http.default_login",
	Doc:   "Whether a page that needs a login can be read with the user and password that the product is shipped with",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "url", Type: checks.TextParam, Required: true, Check: checkURL, Doc: "address that answers 401 or 403 without a login", Example: "http://127.0.0.1:3000/api/user"},
		{Name: "user", Type: checks.TextParam, Default: "admin", Doc: "user that the product is shipped with"},
		{Name: "shipped", Type: checks.TextParam, Default: "admin", Doc: "word by which that user logs in as shipped; never one of your own"},
		{Name: "ca", Type: checks.TextParam, Doc: "file of certificates in PEM that are trusted besides the system's"},
	},
	Facts: []fact.Spec{
		{Name: "works", Type: fact.Bool, Worse: fact.Higher, Doc: "the shipped login is accepted"},
		{Name: "open", Type: fact.Bool, Worse: fact.Higher, Doc: "the page is shown without any login"},
		{Name: "status", Type: fact.Count, Doc: "status code of the answer to the shipped login, or to none if the page is open"},
	},
	Fail: "works == true or open == true", Source: "proposed",
	Timeout: 10 * time.Second, Every: time.Hour, // products count failed logins
	Example: "use: http.default_login\nwith:\n  url: http://127.0.0.1:3000/api/user",
	Run:     defaultLogin,
})

func defaultLogin(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	f := checks.Findings{Target: args.Text("url")}
	if env.Dialer == nil {
		return f, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	r, err := newRequest(args)
	if err != nil {
		return f, err
	}
	f.Target = r.url.Redacted()
	client := r.client(env, false)
	status, err := tryLogin(ctx, client, args, false)
	if err != nil {
		return f, err
	}
	open := status == http.StatusOK
	if !open && status != http.StatusUnauthorized && status != http.StatusForbidden {
		return f, checks.Failed(checks.NoData, "%s answers %d without a login, neither 401 nor 403: nothing can be told from it", f.Target, status)
	}
	if !open {
		if status, err = tryLogin(ctx, client, args, true); err != nil {
			return f, err
		}
	}
	works := !open && status == http.StatusOK
	if !open && !works && status != http.StatusUnauthorized && status != http.StatusForbidden {
		return f, checks.Failed(checks.NoData, "%s answers %d to a login: whether it was accepted cannot be told", f.Target, status)
	}
	f.Facts = []fact.Fact{fact.Flag("works", works), fact.Flag("open", open), fact.Number("status", status)}
	switch f.Note = "the shipped login is refused"; {
	case open:
		f.Note = "open to everybody, without a login"
	case works:
		f.Note = "the shipped login of " + args.Text("user") + " works"
	}
	return f, nil
}

// tryLogin asks once. It follows no redirect, and reads no body.
func tryLogin(ctx context.Context, client *http.Client, args checks.Args, login bool) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.Text("url"), http.NoBody)
	if err != nil {
		return 0, checks.Failed(checks.Unconfigured, "%w", err)
	}
	if login {
		req.SetBasicAuth(args.Text("user"), args.Text("shipped"))
	}
	answer, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
