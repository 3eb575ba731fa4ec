package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/tlscert/trust"
)

// Send tells people.
var Send = module(checks.Module{
	Name:   "notify.send",
	Doc:    "Sends a text to the people that the site file names, and records what was accepted for whom",
	Effect: checks.Reversible, Danger: 1, Reach: checks.Network,
	Crash: "a text that was handed over is out and cannot be called back; if no answer was recorded nobody knows, and it is not sent again by itself",
	Params: []checks.Param{
		{Name: "to", Type: checks.TextParam, Names: "notify", Doc: "entry under notify of the site file; without it the only one there is", Example: "ops"},
		{Name: "subject", Type: checks.TextParam, Required: true, Check: checkSubject, Doc: "one line", Example: "Maintenance on Sunday from 02:00 to 04:00"},
		{Name: "text", Type: checks.TextParam, Required: true, Check: checkText, Doc: "plain text, at most 150 lines of 1000 bytes"},
		{Name: "event", Type: checks.TextParam, Check: checkEvent, Doc: "word by which receivers know the occasion; without it the item's id", Example: "window-opened"},
	},
	Facts: []fact.Spec{
		{Name: "recipients", Type: fact.Count, Doc: "people and webhooks that are meant"},
		{Name: "delivered", Type: fact.Count, Worse: fact.Lower, Doc: "for how many the other side accepted the text; acceptance is not reading"},
		{Name: "refused", Type: fact.Count, Worse: fact.Higher, Doc: "for how many it refused the text"},
		{Name: "response", Type: fact.Text, Doc: "the last answer: code and words of the mail server, or status of the webhook"},
		{Name: "took", Type: fact.Duration, Optional: true, Worse: fact.Higher, Doc: "all of it"},
		checks.DoneFact,
	},
	Warn: "refused > 0", Fail: "delivered == 0", Source: "proposed",
	Timeout: time.Minute,
	Example: "use: notify.send\nwith:\n  to: ops\n  subject: Maintenance is over\n  text: |\n    The site is open again.",
	Preview: preview, Run: send, Probe: probe,
})

// preview shows what will be sent, by whom and to whom, and asks nobody.
func preview(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	m, err := compose(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target: m.name, Fingerprint: m.fingerprint(),
		Note:  fmt.Sprintf("%q to %d", m.subject, len(m.deliveries())),
		Facts: []fact.Fact{fact.Number("recipients", len(m.deliveries()))},
	}
	for _, careful := range m.cautions() {
		f.Detail = append(f.Detail, "careful: "+careful)
	}
	if m.server != nil {
		if _, err := trust.Roots(m.server.ca); err != nil {
			return checks.Findings{}, err
		}
		f.Detail = append(f.Detail, "From: "+m.from.String()+" through "+m.server.address())
	}
	for _, d := range m.deliveries() {
		f.Detail = append(f.Detail, "To: "+d.Recipient+" by "+d.Via)
	}
	f.Detail = append(f.Detail, "Subject: "+m.subject, "")
	f.Detail = append(f.Detail, strings.Split(m.text, "\n")...)
	f.Tables = []checks.Table{table(m.deliveries())}
	return f, nil
}

func send(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	m, err := compose(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" || env.Dir == "" {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "a notice is an action: without a token and a directory of its own it cannot be told from another")
	}
	rec := &record{dir: env.Dir, Token: env.Token, ID: m.id(env.Token), Deliveries: m.deliveries()}
	if before, err := readRecord(env.Dir); err != nil || before != nil {
		return m.again(before, err)
	}
	soon, cancel := m.mailTime(ctx)
	defer cancel()
	err = errors.Join(m.bySMTP(soon, env, rec), m.byWebhook(ctx, env, rec))
	if canceled := ctx.Err(); errors.Is(canceled, context.Canceled) {
		err = errors.Join(canceled, err)
	}
	f := m.findings(rec)
	f.Facts = append(f.Facts, fact.Dur("took", time.Since(began)))
	return f, err
}

// mailTime leaves half of the time to the webhook, if there is one: a mail
// server that hangs must not keep it from being asked.
func (m message) mailTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || m.webhook == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// again is what comes of a second attempt of the same action: nothing is sent.
func (m message) again(before *record, err error) (checks.Findings, error) {
	if err != nil {
		return checks.Findings{}, err
	}
	return m.findings(before), before.uncertain()
}

// probe reads what the action recorded: nobody can look into a mailbox.
func probe(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	m, err := compose(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Dir == "" {
		return checks.Findings{}, checks.Failed(checks.NoData, "no record of this action to look into")
	}
	rec, err := readRecord(env.Dir)
	if err != nil {
		return checks.Findings{}, err
	}
	if rec == nil {
		return checks.Findings{Target: m.name, Note: "nothing was handed over", Facts: []fact.Fact{fact.Flag("done", false)}}, nil
	}
	return m.findings(rec), rec.uncertain()
}

// findings are the same whether they are fresh or read back.
func (m message) findings(rec *record) checks.Findings {
	f := checks.Findings{Target: m.name, Fingerprint: m.fingerprint(), Tables: []checks.Table{table(rec.Deliveries)}}
	delivered, refused := rec.count(accepted), rec.count(refusedState)
	f.Note = fmt.Sprintf("accepted for %d of %d", delivered, len(rec.Deliveries))
	f.Facts = []fact.Fact{
		fact.Number("recipients", len(rec.Deliveries)), fact.Number("delivered", delivered), fact.Number("refused", refused),
		fact.Word("response", rec.Response), fact.Flag("done", delivered > 0),
	}
	f.Detail = append(f.Detail, "id "+rec.ID)
	for _, d := range rec.Deliveries {
		if d.State != accepted {
			f.Detail = append(f.Detail, fmt.Sprintf("%s: %s %s", d.Recipient, d.State, d.Reply))
		}
	}
	return f
}

func table(all []delivery) checks.Table {
	t := checks.Table{Name: "recipients", Columns: []checks.Column{
		{Name: "recipient", Type: fact.Text}, {Name: "via", Type: fact.Text}, {Name: "state", Type: fact.Text}, {Name: "reply", Type: fact.Text},
	}}
	for _, d := range all {
		t.Rows = append(t.Rows, []fact.Value{fact.WordValue(d.Recipient), fact.WordValue(d.Via), fact.WordValue(string(d.State)), fact.WordValue(d.Reply)})
	}
	return t
}

// count is how many deliveries are in a state.
func (r *record) count(s state) int {
	return len(slices.DeleteFunc(slices.Clone(r.Deliveries), func(d delivery) bool { return d.State != s }))
}
